"""WeChat Pay, interface V3: transfers to a balance, refunds, queries, encrypted notices and the daily bill."""
