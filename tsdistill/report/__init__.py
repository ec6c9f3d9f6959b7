"""Stored runs to selection, statistics, tables and figures; reads only what the store wrote."""

from tsdistill.report.write import ReportResult, write_report

__all__ = ["ReportResult", "write_report"]
