"""Parses a spans.otlp.json as the published protocol's TracesData; unknown fields and wrong types are refused. Prints facts of
the parsed message as JSON. OTLP writes ids in hex where protobuf's JSON mapping has base64: these are converted first."""
import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

IDS = ("traceId", "spanId", "parentSpanId")


def with_base64_ids(value):
    if isinstance(value, list):
        return [with_base64_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(each)).decode() if key in IDS else with_base64_ids(each)
        for key, each in value.items()
    }


traces = TracesData()
json_format.ParseDict(with_base64_ids(json.load(open(sys.argv[1]))), traces, ignore_unknown_fields=False)
scopes = [scope for resource in traces.resource_spans for scope in resource.scope_spans]
spans = [span for scope in scopes for span in scope.spans]
ids = {span.span_id for span in spans}
json.dump(
    {
        "spans": len(spans),
        "traces": len({span.trace_id for span in spans}),
        "traceIdBytes": sorted({len(span.trace_id) for span in spans}),
        "spanIdBytes": sorted({len(span.span_id) for span in spans}),
        "distinctSpanIds": len(ids),
        "orphans": sum(1 for span in spans if span.parent_span_id and span.parent_span_id not in ids),
        "roots": sum(1 for span in spans if not span.parent_span_id),
        "backwards": sum(1 for span in spans if span.end_time_unix_nano < span.start_time_unix_nano),
        "kinds": sorted({span.kind for span in spans}),
    },
    sys.stdout,
)
