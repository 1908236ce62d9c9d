"""One connection: from bytes to requests, to the handler, and back, in order.

A reply that the handler gives at once is written when this turn of the event loop ends, and no task is made: all that a connection has to
say goes out in one write, and all connections write one after the other, so that whoever reads many of them is woken once, and what is
kept of a turn (audit entries) is kept with one write. What the handler has to wait for runs as a task, and nothing behind it begins before
its answer is on its way.

Invariants: (1) answers leave in the order of their requests; (2) whatever the client does, each thing it can make us wait for has a
deadline, and what it can make us keep is bounded; (3) what is refused as malformed ends the connection, and nothing behind it is read;
(4) a request that has begun runs to its end, whether its client still waits or not.
"""
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from enum import Enum, auto
from functools import partial
from typing import Final, cast

from holdfast._native import TlsSession
from holdfast.engine import Client, Reply, Stream
from holdfast.errors import RequestError, UnavailableError
from holdfast.http import cross_origin, proxy_protocol
from holdfast.http.body import Refused
from holdfast.http.cross_origin import CrossOrigin
from holdfast.http.framing import Framing, Waits, whole
from holdfast.http.head import FLAGS, KEEP_ALIVE, METHOD, OLD, QUERY, Elsewhere, Head
from holdfast.http.networks import peer_of
from holdfast.http.place import NEVER, Held, Place
from holdfast.http.reply import CONTINUE, LAST_CHUNK, chunk, errors
from holdfast.http.request import NotServed
from holdfast.http.upload import Spool, declined
from holdfast.limits import DRAIN_GRACE_S, HTTP_AHEAD_MAX_BYTES, HTTP_BURST_MAX, HTTP_LINGER_S, HTTP_UNFINISHED_MAX_BYTES, HTTP_WRITE_BYTES

_NOT_FOUND: Final = Reply(status=404, body=b"404 page not found\n", content_type="text/plain; charset=utf-8",
                          headers=(("X-Content-Type-Options", "nosniff"),))
_NO_TLS: Final = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_PLAIN_HTTP: Final = (b"GET ", b"HEAD", b"LIST", b"POST", b"PUT ", b"PATC", b"DELE", b"OPTI")


class Phase(Enum):
    OPENING = auto()                                 # PROXY header, TLS handshake, or nothing yet
    IDLE = auto()                                    # between two requests
    READING = auto()                                 # a request has begun to come
    ANSWERING = auto()                               # the handler is at work
    LINGERING = auto()                               # all is said; until the client has read it
    CLOSED = auto()


OPENING, IDLE, READING, ANSWERING, LINGERING, CLOSED = Phase


class Connection(asyncio.Protocol):
    """`place` is where it came in. `deadline`: on the place's clock, when to stop waiting for whatever is waited for."""

    __slots__ = ("_client", "_framing", "_kept_bytes", "_linger_until", "_paused", "_place", "_proxy", "_reads_on", "_replies", "_resumed",
                 "_session", "_started", "_storing", "_stream", "_transport", "deadline", "phase")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._framing = Framing(place.times.body_max_bytes, has_uploads=place.uploads is not None)
        self._transport = cast("asyncio.Transport", None)    # set before anything else is called, as is the client
        self._client = cast("Client", None)
        self._session: TlsSession | None = None
        self._proxy: bytes | None = None             # what has come of a PROXY header; None: none is expected any more
        self._paused = False                         # reading
        self._reads_on = True                        # the client has not said its last word
        self._replies: list[tuple[Reply, Head]] = []     # of this turn, in order, each with the head of its request
        self._resumed: asyncio.Future[None] | None = None    # there while the client does not take what we write
        self._stream: asyncio.Task[None] | None = None
        self._storing = False                        # what came of an upload goes to the disk: nothing is taken meanwhile
        self._started = self._linger_until = 0.0
        self._kept_bytes = 0                         # as the place has counted them
        self.phase = OPENING
        self.deadline = NEVER

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        place = self._place
        address, port = peer_of(transport)
        if not place.admits(self, address):
            self._transport.abort()
            return
        self._client = Client(address=address, port=port)
        if place.tls is not None:
            self._session = TlsSession(place.tls)
        if place.proxy is not None:
            self._proxy = b""
        self.deadline = place.now + place.times.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = CLOSED
        self.deadline = NEVER
        self._count(0)
        if not self._storing and (spool := self._framing.spool) is not None:
            spool.remove()                           # its end will never come
        self._place.forget(self)
        if self._stream is not None:
            self._stream.cancel()

    def eof_received(self) -> bool:
        """A client that has said all may still read: what has begun is answered."""
        self._reads_on = False
        self.flush()
        return self.phase is ANSWERING

    def pause_writing(self) -> None:
        self._resumed = asyncio.get_running_loop().create_future()
        if self.phase is not LINGERING:
            self._pause()
        if self.phase is not ANSWERING or self._stream is not None:
            self.deadline = self._place.now + self._place.times.write_s

    def resume_writing(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)
        self._continue()

    def data_received(self, data: bytes) -> None:
        if self._proxy is not None:
            rest = self._after_proxy(self._proxy + data)
            if rest is None:
                return
            data = rest
        session = self._session
        if session is None:
            self._take(data)
        elif self.phase is not LINGERING:
            plain, out, ended = session.receive(data)
            if ended and self.phase is OPENING and session.error is not None:
                if data.startswith(_PLAIN_HTTP):
                    out = _NO_TLS                    # instead of an alert that its sender would not understand
                self._place.handshake_failed(self._client, session.error)
            if out is not None:
                self._transport.write(out)
            if plain is not None:
                self._take(plain)
            if ended:
                self._session_ended(session)

    def _session_ended(self, session: TlsSession) -> None:
        if session.error is None:
            self._reads_on = False
            if self.phase is ANSWERING or self._paused:  # what came before the end is answered first
                return
        else:
            self._session = None                     # its alert has been written, nothing more can be
        self._linger()

    def _after_proxy(self, data: bytes) -> bytes | None:
        """What follows the PROXY header; None: more bytes are needed, or the connection has ended."""
        try:
            found = proxy_protocol.read(data)
        except proxy_protocol.Malformed:
            self._transport.abort()
            return None
        self._proxy = data if found is None else None
        if found is None:
            return None
        if found.address and self._place.believes(self._client.address):
            self._client = Client(address=found.address, port=found.port)
        return data[found.size:] or None

    # From bytes to answers

    def _take(self, data: bytes) -> None:
        phase = self.phase
        if phase is IDLE and self._framing.empty and self._resumed is None \
                and (message := whole(data, self._place.times.body_max_bytes)) is not None:
            self._take_one(*message)
        elif phase is IDLE or phase is READING:
            self._framing.receive(data)
            self._advance()
        elif phase is OPENING:
            if self._session is not None and (certificate := self._session.peer_certificate) is not None:
                self._client = Client(address=self._client.address, port=self._client.port, certificate=certificate)
            self.phase = IDLE
            self._framing.receive(data)
            self._advance()
        elif phase is ANSWERING:
            self._framing.receive(data)
            if self._framing.kept_bytes > HTTP_AHEAD_MAX_BYTES:
                self._pause()

    def _continue(self) -> None:
        if self.phase is IDLE or self.phase is READING:
            self._advance()

    def _take_one(self, head: Head, body: bytes) -> None:
        """What most reads of a socket bring: one request, nothing before it and nothing behind it."""
        place = self._place
        try:
            answer = place.serve(place.requests.make(head, body, self._client))
        except Exception as error:  # noqa: BLE001 -- as in `_answer`, written out: this and `flush` are what a read costs here
            answer = self._failed(head, body, error)
        if not isinstance(answer, Reply):
            self._begin(answer, head)
            return
        if not self._replies:
            place.has_replies(self)
        self._replies.append((answer, head))
        if not head[FLAGS] & KEEP_ALIVE:
            self._linger()
        elif self._paused or not self._reads_on or place.draining:
            self._await_request()
        else:
            self.deadline = place.idle_until

    def _advance(self) -> None:
        """Answers what is there, as far as that goes at once. Called only while nothing is being answered."""
        size = 0
        for _ in range(HTTP_BURST_MAX):
            if self._resumed is not None or self._storing:   # resume_writing goes on, when the client takes what it is sent; or `_store`
                return
            try:
                message = self._framing.next()
                if message is None and (begun := self._framing.upload) is not None:
                    message = self._framing.take_into(self._spool(begun))
            except Refused as refused:
                self._refuse(refused)
                return
            if message is None:
                self._await_bytes()
                return
            head, body = message
            if self._kept_bytes:
                self._count(0)
            answer = self._answer(head, body) if isinstance(body, bytes) else self._answer_upload(head, body)
            if not isinstance(answer, Reply):
                self._begin(answer, head)
                return
            self._reply(answer, head)
            if not self._keeps(head):
                self._linger()
                return
            if self._framing.empty:
                self._await_request()
                return
            size += len(answer.body)
            if size > HTTP_WRITE_BYTES:
                self.flush()
                size = 0
        self._pause()                                # others have a turn before the rest of this read
        asyncio.get_running_loop().call_soon(self._continue)

    def _reply(self, reply: Reply, head: Head) -> None:
        """Leaves at the end of this turn, or before anything else is written here."""
        if not self._replies:
            self._place.has_replies(self)
        self._replies.append((reply, head))

    def flush(self) -> None:
        """Writes the replies of this turn. The place calls it when the turn ends."""
        replies = self._replies
        if not replies:
            return
        self._replies = []
        data = self._bytes_of(*replies[0]) if len(replies) == 1 else b"".join([self._bytes_of(*each) for each in replies])
        if self.phase is not CLOSED and not self._transport.is_closing():
            out = data if self._session is None else self._session.send(data)
            if out is not None:
                self._transport.write(out)

    def _bytes_of(self, reply: Reply, head: Head) -> bytes:
        if type(reply) is Held:
            reply = reply.settle(reply)
        place = self._place
        if head[FLAGS] & (KEEP_ALIVE | OLD) == KEEP_ALIVE and head[METHOD] != "HEAD" and not place.draining:
            return place.replies.bytes_of(reply)
        return place.replies.any_bytes_of(reply, head_only=head[METHOD] == "HEAD", connection=self._said(head))

    def _refuse(self, refused: Refused) -> None:
        """The last answer of this connection."""
        self._write(self._place.replies.any_bytes_of(errors(refused.status, refused.why), connection="close"))
        self._linger()

    def _await_bytes(self) -> None:
        """Nothing whole is there any more: what is waited for next, and how long."""
        framing, place = self._framing, self._place
        if framing.empty:
            self._await_request()
            return
        if self._resumed is not None:                # resume_writing goes on
            return
        if self.phase is not READING:
            self.phase = READING
            self._started = place.now
        self.deadline = self._started + (place.times.head_s if framing.waits is Waits.HEAD else place.times.read_s)
        if not self._reads_on:                       # the rest will never come
            self._linger()
            return
        if not self._count(framing.kept_bytes):
            self._refuse(Refused(503, f"the bodies of unfinished requests have reached {HTTP_UNFINISHED_MAX_BYTES} bytes"))
            return
        if (spool := framing.spool) is not None and spool.is_full:
            self._storing = True
            self._pause()
            place.spawn(self._store(spool))
            return
        if framing.owes_continue:
            framing.owes_continue = False
            self._write(CONTINUE)
        self._read_on()

    def _spool(self, head: Head) -> Spool:
        """Where the body of this head goes. Raises Refused."""
        place = self._place
        try:
            request = place.requests.make(head, b"", self._client)
        except Exception:  # noqa: BLE001 -- `_answer` makes the same request, and answers what comes of it
            return declined(None)
        assert place.uploads is not None
        return place.uploads.begin(request, place.times.body_max_bytes)

    async def _store(self, spool: Spool) -> None:
        """A piece of an upload goes to the disk, then reading goes on: its client has as long for each as for a whole body."""
        try:
            await asyncio.to_thread(spool.store)
        except Refused as refused:
            if self.phase is READING:
                self._refuse(refused)
        finally:
            self._storing = False
        if self.phase is READING:
            self._started = self._place.now
            self._read_on()
            self._advance()
        elif self.phase is CLOSED:
            spool.remove()

    def _count(self, kept_bytes: int) -> bool:
        """Tells the place what is kept here of a request that is not whole. False: too much, with what others have."""
        place = self._place
        place.unfinished_bytes += kept_bytes - self._kept_bytes
        self._kept_bytes = kept_bytes
        return place.unfinished_bytes <= HTTP_UNFINISHED_MAX_BYTES

    def _await_request(self) -> None:
        if self._resumed is not None:
            return
        self.phase = IDLE
        self.deadline = self._place.idle_until
        if self._place.draining or not self._reads_on:
            self.flush()
            if self._resumed is None:
                self._linger()
        elif self._paused:
            self._read_on()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _answer(self, head: Head, body: bytes) -> Reply | Stream | Awaitable[Reply | Stream]:
        try:
            return self._place.serve(self._place.requests.make(head, body, self._client))
        except Exception as error:  # noqa: BLE001 -- one bad request must not take others with it; the loop is told
            return self._failed(head, body, error)

    def _answer_upload(self, head: Head, spool: Spool) -> Reply | Stream | Awaitable[Reply | Stream]:
        """The file is there until there is an answer, whether its client waits or not."""
        request = spool.request
        if request is None:
            return self._answer(head, b"")
        try:
            answer = self._place.serve(request)
        except Exception as error:  # noqa: BLE001 -- as in `_answer`
            answer = self._place.failed(error)
        if spool.is_declined:
            return answer
        if not isinstance(answer, Awaitable):
            spool.remove()
            return answer
        waiting = asyncio.ensure_future(answer)
        waiting.add_done_callback(lambda _: spool.remove())
        return waiting

    def _answer_page(self, head: Head, body: bytes) -> Reply | Stream | Awaitable[Reply | Stream]:
        try:
            return self._place.serve(self._place.requests.make_any(head, body, self._client))
        except Exception as error:  # noqa: BLE001 -- as in `_answer`
            return self._failed(head, body, error)

    def _failed(self, head: Head, body: bytes, error: Exception) -> Reply | Stream | Awaitable[Reply | Stream]:
        match error:
            case CrossOrigin():
                return cross_origin.answer(error, self._place.cross_origin(), lambda: self._answer_page(head, body))
            case RequestError():
                return errors(error.status, *error.messages)
            case NotServed():
                return _NOT_FOUND
            case Elsewhere():
                query = f"?{head[QUERY]}" if head[QUERY] else ""
                return Reply(status=301, content_type="", headers=(("Location", error.location + query),))
            case _:
                return self._place.failed(error)

    # Answers that are waited for

    def _begin(self, answer: Stream | Awaitable[Reply | Stream], head: Head) -> None:
        self.phase = ANSWERING
        self.deadline = self._place.now + self._place.times.answer_s
        if isinstance(answer, asyncio.Future):       # somebody else's: no task is needed to wait for it
            self._place.expect(answer, partial(self._arrived, head))
        else:
            self._place.spawn(self._finish(answer, head))

    def _arrived(self, head: Head, answer: "asyncio.Future[Reply | Stream]") -> None:
        error = answer.exception()
        served = answer.result() if error is None else self._place.failed(error)
        if isinstance(served, Stream):
            self._place.spawn(self._send(served, head))
        else:
            self._end(served, head)

    async def _finish(self, answer: Stream | Awaitable[Reply | Stream], head: Head) -> None:
        try:
            served = answer if isinstance(answer, Stream) else await answer
        except Exception as error:  # noqa: BLE001 -- as in `_answer`
            served = self._place.failed(error)
        if isinstance(served, Stream):
            await self._send(served, head)
        else:
            self._end(served, head)

    def _end(self, reply: Reply, head: Head) -> None:
        if self.phase is ANSWERING:                  # else nobody waits for it any more
            self._reply(reply, head)
            self._after(head)

    async def _send(self, stream: Stream, head: Head) -> None:
        """A stream, as fast as the client takes it. One that fails half way ends the connection, so that nobody takes it for whole."""
        chunks = stream.chunks
        try:
            if self.phase is not ANSWERING:
                return
            self._stream, self.deadline = asyncio.current_task(), NEVER
            chunked = not head[FLAGS] & OLD
            self._write(self._place.replies.start_of(stream, chunked=chunked, connection=self._said(head) if chunked else "close"))
            if head[METHOD] != "HEAD":
                await self._send_chunks(chunks, chunked=chunked)
            self._stream = None
            if chunked:
                self._after(head)
            else:
                self._linger()
        except Exception as error:  # noqa: BLE001 -- as in `_answer`
            if not isinstance(error, UnavailableError):  # no defect: who makes it, another process or node, has gone
                self._place.failed(error)
            self._transport.abort()
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _send_chunks(self, chunks: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for data in chunks:
            if data:
                self._write(chunk(data) if chunked else data)
            if self._resumed is not None:
                await self._resumed
                self.deadline = NEVER
        if chunked:
            self._write(LAST_CHUNK)

    def _after(self, head: Head) -> None:
        if self._keeps(head):
            self.phase, self.deadline = IDLE, self._place.now + self._place.times.write_s
            self._advance()
        else:
            self._linger()

    # To bytes, and the end

    def _keeps(self, head: Head) -> bool:
        return bool(head[FLAGS] & KEEP_ALIVE) and not self._place.draining

    def _said(self, head: Head) -> str:
        """The answer's Connection header: only where its version's custom is not meant."""
        if not self._keeps(head):
            return "close"
        return "keep-alive" if head[FLAGS] & OLD else ""

    def _write(self, data: bytes) -> None:
        if self._replies:
            self.flush()
        out = data if self._session is None else self._session.send(data)
        if out is not None:
            self._transport.write(out)

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _linger(self) -> None:
        """All is said. What the client still sends is thrown away for a moment, or the answer would be lost with it."""
        self.flush()
        if self.phase is LINGERING or self.phase is CLOSED or self._transport.is_closing():
            return
        self.phase = LINGERING
        self.deadline, self._linger_until = self._place.now + HTTP_LINGER_S, self._place.now + self._place.times.write_s
        if self._session is not None and (out := self._session.close()) is not None:
            self._transport.write(out)
        if not self._reads_on:
            self._transport.close()
            return
        self._transport.write_eof()
        self._read_on()

    def expire(self) -> None:
        """The deadline has passed."""
        phase = self.phase
        is_opening = phase is OPENING and not self._place.draining
        if (self._resumed is not None and phase is not LINGERING) or is_opening or self._stream is not None:
            self._transport.abort()
        elif phase is IDLE or phase is OPENING:
            self._linger()
        elif phase is READING:
            self._refuse(Refused(408, "the request did not come in time"))
        elif phase is ANSWERING:
            self._refuse(Refused(503, f"request timed out: max_request_duration is {self._place.times.answer_s:g} s"))
        elif self._transport.get_write_buffer_size() and self._place.now < self._linger_until:
            self.deadline = self._place.now + HTTP_LINGER_S
        else:
            self._transport.abort()

    def drain(self) -> None:
        """The node ends: what has begun is answered, and so is one more request within a grace, with `Connection: close`. Ended at once, an
        idle connection would lose a request that is on its way."""
        if self.phase is IDLE or self.phase is OPENING:
            self.deadline = min(self.deadline, self._place.now + DRAIN_GRACE_S)

    def abort(self) -> None:
        self._transport.abort()
