"""A mail server for tests: aiosmtpd with STARTTLS and login, both required.

usage: mail_server.py FOLDER FAILURES USER PASSWORD

FOLDER holds server.pem and server.key. The port is written to FOLDER/port, each mail that was
taken to FOLDER/000001.json and so on. The first FAILURES mails are answered with 451.
What a recipient's name begins with is how it is treated: `gone` is refused for good, `grey` is told
to come back later the first time, and for `slow` the server answers no more.
"""

import asyncio
import json
import os
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    def __init__(self, folder, failures):
        self.folder = folder
        self.failures_left = failures
        self.taken = 0
        self.greeted = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 nobody of that name"
        if address.startswith("slow"):
            await asyncio.sleep(3600)
        if address.startswith("grey") and address not in self.greeted:
            self.greeted.add(address)
            return "451 4.7.1 greylisted, please come back"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 yes"

    async def handle_DATA(self, server, session, envelope):
        if self.failures_left > 0:
            self.failures_left -= 1
            return "451 4.3.0 not now, please try again"
        self.taken += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.original_content.decode("utf-8", "replace"),
            "taken_us": time.time_ns() // 1000,
        }
        write_whole(os.path.join(self.folder, f"{self.taken:06}.json"), json.dumps(mail))
        return "250 2.0.0 taken"


def write_whole(path, text):
    """A reader sees the whole file or none."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".part", path)


async def main(folder, failures, user, password):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    mailbox = Mailbox(folder, failures)
    expected = (user.encode(), password.encode())

    def authenticate(server, session, envelope, mechanism, given):
        # handled=False: the server itself answers a wrong password, with 535.
        return AuthResult(success=(given.login, given.password) == expected, handled=False)

    def session():
        return SMTP(
            mailbox,
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            auth_require_tls=True,
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    write_whole(os.path.join(folder, "port"), str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
