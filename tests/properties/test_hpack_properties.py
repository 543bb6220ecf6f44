"""Any heads in any order, the table now and then of another size: what is kept is what would be made."""

from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from httpng_core.http2.reference.hpack import HeadDecoder, HeadEncoder

# Few enough that heads come again, in tables with room for one entry or two as well.
fields = st.sampled_from([(b":status", b"200"), (b"x-a", b"1"), (b"x-b", b"1"), (b"x-a", b"2" * 5000)])
steps = st.one_of(st.lists(fields, min_size=1, max_size=2), st.sampled_from([0, 40, 80, 4096]))


quick = settings(max_examples=200, deadline=None, derandomize=True)


@quick
@given(st.lists(steps, min_size=4, max_size=60))
def test_a_client_reads_every_head(steps: list[list[tuple[bytes, bytes]] | int]) -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    for step in steps:
        if isinstance(step, list):
            assert list(decoder.decode(encoder.encode(step), raw=True)) == step
        elif step != encoder.header_table_size:
            encoder.header_table_size = step


@quick
@given(st.lists(steps, min_size=4, max_size=60))
def test_every_head_of_a_client_is_read(steps: list[list[tuple[bytes, bytes]] | int]) -> None:
    encoder, decoder = Encoder(), HeadDecoder()
    for step in steps:
        if isinstance(step, list):
            assert list(decoder.decode(encoder.encode(step), raw=True)) == step
        elif step != encoder.header_table_size:
            encoder.header_table_size = step
