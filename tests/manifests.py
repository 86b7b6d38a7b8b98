"""Check deploy/kubernetes by the schemas that Dask's operator brings, as `tox run -e lint` does.

Kubernetes drops fields that a schema lacks without a word; here they are errors.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"


def main() -> None:
    """Print the errors of all manifests, and fail if there are any."""
    schemas: dict[str, Any] = {}
    operator = find_spec("dask_kubernetes")  # not imported: it lacks its dependencies
    assert operator
    assert operator.submodule_search_locations
    for file in Path(operator.submodule_search_locations[0], _CRDS).iterdir():
        definition = yaml.safe_load(file.read_text())["spec"]
        (version,) = definition["versions"]
        name = f"{definition['group']}/{version['name']}"
        schema = version["schema"]["openAPIV3Schema"]
        schemas[f"{name} {definition['names']['kind']}"] = schema["properties"]["spec"]
    cluster = schemas["kubernetes.dask.org/v1 DaskCluster"]["properties"]
    pod = cluster["worker"]["properties"]["spec"]  # as Kubernetes defines it
    schemas["batch/v1 Job"] = {
        "properties": {"template": {"properties": {"spec": pod}}}
    }
    errors = []
    for path in Path("deploy/kubernetes").glob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            kind = f"{manifest['apiVersion']} {manifest['kind']}"
            validator = Draft202012Validator(_strict(schemas.get(kind, {})))
            for error in validator.iter_errors(manifest["spec"]):
                errors.append(f"{path}: {kind}: {error.json_path}: {error.message}")
    if errors:
        raise SystemExit("\n".join(errors))


def _strict(schema: Any) -> Any:  # noqa: ANN401  any part of a schema
    """Forbid unknown fields wherever fields are named."""
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    is_named = schema.get("type") == "object" and "properties" in schema
    if is_named and "x-kubernetes-preserve-unknown-fields" not in schema:
        strict.setdefault("additionalProperties", False)
    return strict


if __name__ == "__main__":
    main()
