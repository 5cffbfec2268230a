"""The wing of those who read an entry's files: one folder a consumer, each behind the port."""
