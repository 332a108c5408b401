"""Commands that we print must work where they are pasted."""

from __future__ import annotations

from flyball_analytics.cli.program import program_name


def test_the_name_is_the_path_it_was_started_by_if_it_is_not_on_the_path(tmp_path, monkeypatch):
    """After `make demo` the program is in .venv/bin, which nobody has on the PATH."""
    script = tmp_path / ".venv" / "bin" / "flyball"
    script.parent.mkdir(parents=True)
    script.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program_name() == ".venv/bin/flyball"
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert program_name() == "flyball"


def test_started_otherwise_it_is_called_by_its_own_name(monkeypatch):
    """Under pytest, or with python -m."""
    monkeypatch.setattr("sys.argv", ["/somewhere/pytest"])
    monkeypatch.setenv("PATH", "")
    assert program_name() == "flyball"
