"""Which comment of a pull request is ours, and whether CML would edit that one alone."""

import pytest

from machinery.ci.comment import own_comment, safe_for_cml, signed
from machinery.ci.job import Post

TITLE = "shop report"
OURS = signed("Better.", "0a1b2c3d", TITLE)
QUOTED = "> " + OURS.replace("\n", "\n> ") + "\n\nNice!"
PLANTED = Post("planted", OURS, own=False)


def own(*bodies: str) -> list[Post]:
    return [Post(str(number), body, own=True) for number, body in enumerate(bodies)]


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (own("Hello", QUOTED, OURS + "\n", OURS), "2"),  # the first that ends with it
        ([PLANTED, *own(OURS)], "0"),
        (own("Hello", QUOTED), None),
        (own(OURS.replace(TITLE, "other report")), None),
        ([PLANTED], None),
    ],
)
def test_our_comment_is_by_our_token_and_ends_with_our_watermark(
    comments: list[Post], expected: str | None
) -> None:
    comment = own_comment(comments, TITLE)
    assert (comment and comment.id) == expected


@pytest.mark.parametrize(
    ("comments", "safe"),
    [
        ([], True),
        (own("Hello", OURS, "Thanks"), True),
        (own(OURS, *["Hello"] * 19), True),
        (own(OURS, *["Hello"] * 20), False),  # CML does not read the next page
        ([PLANTED], False),
        ([*own(OURS), PLANTED], False),
        (own(QUOTED), False),
        (own(OURS, QUOTED), False),
    ],
)
def test_cml_may_post_if_it_would_edit_no_comment_but_ours(
    comments: list[Post], safe: bool
) -> None:
    assert safe_for_cml(comments, TITLE) == safe
