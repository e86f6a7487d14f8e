"""UnionPay: 代付, 代收, refund, query and statement of the back-end interface, version 5.1.0."""
