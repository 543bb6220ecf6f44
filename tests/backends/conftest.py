"""What both commands have in common is tried with one of them in all its cases."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with parameters of its own, those of the command of trio are for `soak`."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if params.get("module") == "httpng_trio" and len(params) > 1:
            item.add_marker(pytest.mark.soak)
