"""Mails of the sign-in double: what the server hears tells nobody who is known; one letter holds up no other."""

import socketserver
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.emulators.entra_browser import PASSWORD, REDIRECT_URI, Issuer, Visitor, forms_of, new_address, signed_up
from tests.emulators.processes import Emulator
from tests.support.leaks import SHAPES

UMA, UGO = "uma@tessera.example", "ugo@tessera.example"
TALKS_SECONDS = 60  # normally well below one


class MailServer(socketserver.ThreadingTCPServer):
    """Takes every mail, and remembers the words of each conversation."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.ended: list[list[str]] = []

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def talk(self, number: int) -> list[str]:
        """The conversation of this number, once it is over."""
        until = time.monotonic() + TALKS_SECONDS
        while len(self.ended) < number:
            assert time.monotonic() < until, f"nobody talked: {self.ended}"
            time.sleep(0.01)
        return self.ended[number - 1]


class Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        words: list[str] = []
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            words.append(line.split()[0].decode().upper())
            self.wfile.write(b"354 go on\r\n" if words[-1] == "DATA" else b"250 fine\r\n")
            if words[-1] == "DATA":
                words.append("the mail")
                assert any(each == b".\r\n" for each in self.rfile)
                self.wfile.write(b"250 taken\r\n")
            if words[-1] == "QUIT":
                break
        self.server.ended.append(words)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_as_much_is_done_for_an_address_nobody_has_as_for_a_known_one(tmp_path: Path, mail_server: MailServer) -> None:
    """So that the request after it, which waits for that, does not tell either."""
    options = ["--redirect-uri", REDIRECT_URI, "--smtp", mail_server.name]
    with Emulator("entra", tmp_path, *options) as entra, Visitor(Issuer(entra, tmp_path, entra)) as somebody:
        somebody.fill(somebody.get("reset"), email=UMA)
        known = mail_server.talk(1)
        somebody.fill(somebody.get("reset"), email=new_address("nobody"))
        unknown = mail_server.talk(2)
    with closing(sqlite3.connect(tmp_path / "entra.sqlite")) as database:
        links = database.execute("SELECT count(*) FROM links WHERE purpose = 'reset'").fetchone()

    assert (len(known), links) == (len(unknown), (2,))
    assert ("the mail" in known, {"MAIL", "RCPT", "DATA"} & set(unknown)) == (True, set())


def test_a_letter_that_cannot_be_made_is_told_of_and_holds_up_no_other(tmp_path: Path, post_office: Emulator) -> None:
    smtp = post_office.last_word.removeprefix("smtp://")
    with Emulator("entra", tmp_path, "--redirect-uri", REDIRECT_URI, "--smtp", smtp) as entra:
        entra.kill()
        with closing(sqlite3.connect(tmp_path / "entra.sqlite", isolation_level=None)) as database:
            insert = "INSERT INTO letters (kind, email, request, language, root) VALUES ('nonsense', ?, '', 'en', '')"
            database.execute(insert, (UMA,))
        entra.restart()
        own = Issuer(entra, tmp_path, post_office)
        with Visitor(own) as nora:
            assert signed_up(nora, new_address("nora")).status_code == 200
        assert entra.process.stdout is not None
        told = [*entra.said, entra.process.stdout.readline()]  # it is tried again, and told of again

    assert any("cannot make a mail (nonsense), trouble 1 " in line for line in told), told


def test_mailed_links_are_kept_as_digests_only_and_are_known_by_their_shape(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora:
        nora.fill(nora.get("sign-up"), email=address)
        sign_up = issuer.link_in(issuer.mail_to(address, "Finish signing up")).rpartition("=")[2]
        signed_up(nora, address)
        nora.fill(nora.get("reset"), email=address)
        reset = issuer.link_in(issuer.mail_to(address, "Set a new password")).rpartition("=")[2]
    kept = b"".join((issuer.data / name).read_bytes() for name in ("entra.sqlite", "entra.sqlite-wal"))

    assert address.encode() in kept
    for secret in (sign_up, reset):
        assert SHAPES["mailed link"].fullmatch(secret.encode())
        assert secret.encode() not in kept


def test_a_new_password_is_set_by_nobody_elses_form(issuer: Issuer) -> None:
    """Whoever makes a victim's browser post to the victim's open link would choose the victim's password."""
    address = new_address("nora")
    with Visitor(issuer) as nora, Visitor(issuer) as attacker:
        signed_up(nora, address)
        nora.fill(nora.get("reset"), email=address)
        page = nora.get(issuer.link_in(issuer.mail_to(address, "Set a new password")))
        [theirs] = forms_of(attacker.get("reset"))
        chosen = "the attackers own battery"
        forged = [nora.fill(page, password=chosen, form=token) for token in ("", "x", theirs.fields["form"])]
        forged.append(nora.fill(page, password=chosen, headers={"Sec-Fetch-Site": "cross-site"}))
        kept = nora.sign_in(address, PASSWORD, prompt="login")
        own = nora.fill(page, password="another horse battery")

    assert [answer.status_code for answer in forged] == [403] * 4
    assert kept.status_code == 303
    assert own.status_code == 403  # signing in gave the browser a new visit, of which the page knows nothing


def test_who_signs_in_in_anothers_browser_ends_what_the_other_began_there(issuer: Issuer) -> None:
    """A shared device: the refresh tokens of whoever was signed in before are over, and the next one's are not."""
    with Visitor(issuer) as browser:
        before = browser.tokens(UMA)["refresh_token"]
        code = browser.code(UMA, prompt="login")  # asked for, and not redeemed yet
        assert browser.refresh(before).status_code == 200
        other = browser.exchange(browser.code(UGO, prompt="login")).json()["refresh_token"]
        successor = browser.refresh(before)
        left = browser.exchange(code)
        again = browser.refresh(other)

    assert [answer.status_code for answer in (successor, left, again)] == [400, 400, 200]
    assert "revoked (signed out)" in successor.json()["error_description"]
