"""What stands between the rows and a chart: which days a period has, which points a line has. Pure functions, no database."""

from metaloom.report.figures import filled, in_order
from metaloom.report.period import SWITCH, Span, before, bucket_for, buckets, end_of, offered, span_of

__all__ = ["SWITCH", "Span", "before", "bucket_for", "buckets", "end_of", "filled", "in_order", "offered", "span_of"]
