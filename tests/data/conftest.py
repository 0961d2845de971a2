import pytest


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder that is not there yet, without plug-ins beside it."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KDLIB_PLUGINS", str(tmp_path / "plugins"))
    return tmp_path / "data"
