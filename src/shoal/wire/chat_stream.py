"""A streamed Chat Completions reply -> deltas.

Knows when a stream is whole: every choice that began has said why it ended. `[DONE]` alone is no proof, and a body
that just stops is a loss. Strategy: deltas come out as soon as they are certain; an error that follows deltas in the
same bytes waits for the next call, so that what was said before it is the same under any chunking.
"""

from __future__ import annotations

from typing import Any

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss, UnreadableReply, UpstreamError
from shoal.core.item import (
    Delta,
    Finish,
    FinishDelta,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageDelta,
)
from shoal.wire.chat_frames import (
    MAX_BODY_BYTES,
    MAX_CHOICES,
    MAX_TOOL_CALLS,
    Call,
    Counts,
    Frame,
    Option,
    Said,
    arguments_in,
    finish_word,
    frame_in,
    logprobs_in,
    usage_in,
)
from shoal.wire.chat_quirks import Reading
from shoal.wire.chat_reply import answer_in, flatten, raise_complaint, raw_markup, reasoning_of, unreadable
from shoal.wire.chat_unstreamed import deltas_of, is_unstreamed
from shoal.wire.sse import EventParser, ServerEvent
from shoal.wire.thinking import MarkupWatch, ThinkSplitter

MAX_STREAM_BYTES = 128 * 1024 * 1024  # all events of one stream; a million tokens of chunks are about this much
DONE = b"[DONE]"


class _Voice:
    """One choice of the stream while it is being said."""

    __slots__ = ("calls", "finished", "held", "names", "splitter", "watch")

    def __init__(self, reading: Reading) -> None:
        self.finished: Finish | None = None
        self.splitter = ThinkSplitter() if reading.think_tags else None
        self.watch = MarkupWatch() if reading.watch_markup else None
        self.held = ""  # text kept back while it could still begin a raw tool call
        self.calls: dict[int, int] = {}  # the provider's index -> ours, without gaps
        self.names: dict[str, int] = {}  # call id -> ours, for providers that leave the index out


class ChatStreamDecoder:
    """Decodes one stream; see `shoal.wire.dialects.StreamDecoder` for the promise."""

    __slots__ = (
        "_closed",
        "_done",
        "_endpoint",
        "_failure",
        "_id",
        "_parser",
        "_reading",
        "_served",
        "_size",
        "_usage",
        "_unstreamed",
        "_voices",
        "_whole",
    )

    def __init__(self, endpoint: Endpoint, reading: Reading) -> None:
        self._endpoint = endpoint
        self._reading = reading
        self._parser = EventParser()
        self._voices: dict[int, _Voice] = {}
        self._failure: UpstreamError | None = None
        self._usage: Usage | None = None
        self._served = False
        self._done = False
        self._closed = False
        self._size = 0
        self._id = "x"
        self._unstreamed: bool | None = None  # None: too little has come to tell
        self._whole = bytearray()

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be read; `finish` then says whether the end was a good one."""
        return self._done or self._failure is not None

    def feed(self, data: bytes) -> list[Delta]:
        """Return the deltas these bytes complete.

        Raises:
            UpstreamError: the endpoint reported an error in band.
            UnreadableReply: the bytes are no stream of this dialect.
        """
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        if self._done:
            return deltas
        self._size += len(data)
        try:
            if self._size > MAX_STREAM_BYTES:
                raise unreadable(self._endpoint, f"its stream is over {MAX_STREAM_BYTES} bytes")
            if self._unstreamed is not False and not self._is_stream(data):
                return deltas
            for event in self._parser.feed(data):
                if self._done:
                    break
                self._take(event, deltas)
        except UpstreamError as failure:
            return self._fail(failure, deltas)
        return deltas

    def finish(self) -> list[Delta]:
        """Return what was still held back; call it once, when the body is over or `ended` is true.

        Raises:
            UpstreamError: the stream stopped before every choice had finished.
        """
        if self._failure is not None:
            raise self._failure
        if self._closed:
            return []
        self._closed = True
        if self._unstreamed:
            self._done = True
            return deltas_of(answer_in(self._endpoint, bytes(self._whole), self._reading))
        deltas: list[Delta] = []
        if not self._done:
            self._take_rest(deltas)
        if self._failure is None and not self._is_whole:
            self._failure = UpstreamError(
                f"the stream of `{self._endpoint.id}` stopped "
                + ("with [DONE] but without a finish reason" if self._done else "in mid-answer"),
                loss=Loss.TRANSIENT,
            )
        if self._failure is not None:
            raise self._failure
        self._done = True
        return deltas

    def _is_stream(self, data: bytes) -> bool:
        """Whether these bytes may go to the parser; what is no event stream is gathered for `finish` instead."""
        if self._unstreamed is None:
            self._unstreamed = is_unstreamed(bytes(self._whole) + data)
        if self._unstreamed is False:
            return True  # the blank bytes held back so far mean nothing to a stream
        self._whole += data
        if len(self._whole) > MAX_BODY_BYTES:
            raise unreadable(self._endpoint, f"its reply is over {MAX_BODY_BYTES} bytes")
        return False

    @property
    def _is_whole(self) -> bool:
        return bool(self._voices) and all(voice.finished is not None for voice in self._voices.values())

    def _fail(self, failure: UpstreamError, deltas: list[Delta]) -> list[Delta]:
        self._failure = failure
        if deltas:
            return deltas
        raise failure

    def _take_rest(self, deltas: list[Delta]) -> None:
        """Take a last event that lacks its blank line; half an event is the mark of a cut, not of garbage."""
        try:
            for event in self._parser.finish():
                if not self._done:
                    self._take(event, deltas)
        except UnreadableReply:
            pass
        except UpstreamError as failure:
            self._failure = failure

    def _take(self, event: ServerEvent, deltas: list[Delta]) -> None:
        data = event.data.strip()
        if data == DONE:
            self._done = True
            return
        if not data:
            return
        frame, plain = frame_in(data)
        if plain is not None:
            raise_complaint(self._endpoint, plain, self._reading)
            if event.name == "error":
                raise UpstreamError(f"`{self._endpoint.id}` reported an error in mid-answer", loss=Loss.TRANSIENT)
        self._take_frame(frame, deltas)

    def _take_frame(self, frame: Frame, deltas: list[Delta]) -> None:
        if not self._served and frame.model:
            self._served = True
            self._id = (frame.id or "x")[:40]
            deltas.append(ServedDelta(frame.model, frame.system_fingerprint))
        for at, option in enumerate(frame.choices or ()):
            self._take_option(option, at if option.index is None else option.index, deltas)
        if frame.usage is not None:
            self._count(frame.usage, deltas)

    def _count(self, counts: Counts, deltas: list[Delta]) -> None:
        usage = usage_in(counts, extra=self._reading.extra_usage)
        if usage != self._usage and usage != Usage():
            self._usage = usage
            deltas.append(UsageDelta(usage))

    def _take_option(self, option: Option, index: int, deltas: list[Delta]) -> None:
        if not 0 <= index < MAX_CHOICES:
            raise unreadable(self._endpoint, f"choice {index} of a stream")
        voice = self._voices.get(index)
        if voice is None:
            voice = self._voices[index] = _Voice(self._reading)
        said = option.delta or option.message
        if said is not None and voice.finished is None:
            self._say(said, voice, index, deltas)
        if option.logprobs is not None:
            found = logprobs_in(option.logprobs)
            if found:
                deltas.append(LogprobsDelta(found, index))
        if option.finish_reason and voice.finished is None:
            self._end(option.finish_reason, voice, index, deltas)
        if option.usage is not None:
            self._count(option.usage, deltas)

    def _say(self, said: Said, voice: _Voice, index: int, deltas: list[Delta]) -> None:
        thinking = reasoning_of(said, self._reading)
        content: Any = said.content
        if isinstance(content, list):
            more, content = flatten(content) if self._reading.typed_content else ("", "")
            thinking += more
        if thinking:
            deltas.append(ReasoningDelta(thinking, index))
        if content:
            self._write(content, voice, index, deltas)
        if said.refusal:
            deltas.append(RefusalDelta(said.refusal, index))
        if said.tool_calls:
            for call in said.tool_calls:
                self._call(call, voice, index, deltas)

    def _write(self, text: str, voice: _Voice, index: int, deltas: list[Delta]) -> None:
        if voice.splitter is None:
            self._emit(text, voice, index, deltas)
            return
        for is_thinking, piece in voice.splitter.feed(text):
            if is_thinking:
                deltas.append(ReasoningDelta(piece, index))
            else:
                self._emit(piece, voice, index, deltas)

    def _emit(self, text: str, voice: _Voice, index: int, deltas: list[Delta]) -> None:
        if voice.watch is not None:
            is_markup = voice.watch.feed(text)
            if is_markup:
                raise raw_markup(self._endpoint)
            text = voice.held + text
            if is_markup is None:
                voice.held = text
                return
            voice.held, voice.watch = "", None
        deltas.append(TextDelta(text, index))

    def _call(self, call: Call, voice: _Voice, index: int, deltas: list[Delta]) -> None:
        function = call.function
        key = call.index
        if key is None:
            if call.id is not None and call.id in voice.names:
                key = voice.names[call.id]
            else:
                key = len(voice.calls) if call.id is not None or not voice.calls else len(voice.calls) - 1
        arguments = arguments_in(function)
        ours = voice.calls.get(key)
        if ours is not None:
            if arguments:
                deltas.append(ToolCallDelta(ours, arguments=arguments, choice=index))
            return
        if function is None or not function.name:
            raise unreadable(self._endpoint, "a tool call begins without a name")
        ours = voice.calls[key] = len(voice.calls)
        if ours >= MAX_TOOL_CALLS:
            raise unreadable(self._endpoint, f"it calls more than {MAX_TOOL_CALLS} tools at once")
        identity = call.id or f"call_{self._id}_{index}_{ours}"
        voice.names[identity] = key
        deltas.append(ToolCallDelta(ours, identity, function.name, arguments, index))

    def _end(self, word: str, voice: _Voice, index: int, deltas: list[Delta]) -> None:
        if voice.splitter is not None:
            for is_thinking, piece in voice.splitter.finish():
                if is_thinking:
                    deltas.append(ReasoningDelta(piece, index))
                else:
                    self._emit(piece, voice, index, deltas)
        if voice.held:
            deltas.append(TextDelta(voice.held, index))
            voice.held = ""
        finish = self._reading.finishes.get(word) or finish_word(word)
        if finish is None:
            raise UpstreamError(f"`{self._endpoint.id}` gave up in mid-answer (`{word}`)", loss=Loss.TRANSIENT)
        voice.finished = Finish.TOOL_CALLS if voice.calls and finish is Finish.STOP else finish
        deltas.append(FinishDelta(voice.finished, index))
