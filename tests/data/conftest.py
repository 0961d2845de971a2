import pytest

from kdlib.data import registry


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder that is not there yet, without plug-ins beside it."""
    monkeypatch.setattr(registry, "_sources", dict(registry._sources))
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KDLIB_PLUGINS", str(tmp_path / "plugins"))
    return tmp_path / "data"
