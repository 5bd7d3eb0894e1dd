"""A second reading of metrics: the Python client's parsers (Debian: python3-prometheus-client).

Arguments: files. Prints one JSON object: for each file the samples as [name, labels, value, time],
or null where the parser refuses it. A file that ends with `# EOF` is read as OpenMetrics.
"""
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus


def samples(path):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    parse = open_metrics if text.rstrip("\n").endswith("# EOF") else prometheus
    try:
        return [
            [s.name, s.labels, repr(float(s.value)), None if s.timestamp is None else float(s.timestamp)]
            for family in parse(text)
            for s in family.samples
        ]
    except Exception:
        return None


print(json.dumps({path: samples(path) for path in sys.argv[1:]}))
