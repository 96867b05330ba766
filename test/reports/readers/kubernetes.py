# Each manifest of a JSON list on stdin against the JSON schemas of Kubernetes, unknown fields refused: one line for each
# that does not fit.
import json
import sys

import kubernetes_validate

wrong = []
for manifest in json.load(sys.stdin):
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        kubernetes_validate.validate(manifest, '1.37', strict=True)
    except kubernetes_validate.ValidationError as error:
        wrong.append(f"{name}: {'.'.join(str(each) for each in error.path)}: {error.message}")
print(json.dumps(wrong))
