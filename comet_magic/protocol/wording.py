"""How servers say in words that the account is empty, or that moderation refused: for codes that no table knows.

Codes are joined to the words in angle brackets, their parts as words: `<account overdue error>`. A word that also
stands in other messages ("balance", "moderation", "sensitive") counts only beside one that makes it plain.
Seen at OpenAI, Azure, Ark, DashScope, z.ai, SiliconFlow, xAI, Google, and at gateways in front of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MONEY = r"(?:balances?|credits?|funds|money)"
_LACK = (
    r"(?:insufficient|not enough|in?adequate|low|no|zero|negative|exceed\w*|exhaust\w*|deplet\w*|out of|run out of"
    r"|used (?:all|up)(?: of)?|consumed|lacks?|lacking)"
)
_LACKS = (
    r"(?:insufficient|(?:is |are |was )?not (?:enough|sufficient)|too low|is low|exhausted|depleted|negative|empty"
    r"|used up|ran out|run out|overdue|expired|(?:is|of|:) ?[$¥]?-?0\b|is zero|below|exceeded)"
)
EMPTY_ACCOUNT = re.compile(
    rf"\b{_LACK}\b[^.;<>]{{0,40}}\b{_MONEY}\b|\b{_MONEY}\b[^.;<>]{{0,40}}\b{_LACKS}"
    r"|\barrear|\boverdue\b|\brecharg|\btop(?:ping)?[ -]?up\b|\bspend(?:ing)?[ -](?:limit|cap)|\bpast due\b"
    r"|\bbilling (?:hard )?limit|\bunpaid (?:bill|invoice|balance)|\bpayment required"
    r"|<[^<>]{0,120}\b(?:billing|payment required|insufficient (?:\w+ )?quota|quota (?:not enough|insufficient))\b"
    r"|<[^<>]{0,120}\bpre consume token quota"
    r"|余额|餘額|欠费|欠費|充值|儲值|逾期|额度(?:不足|已用|耗尽|用尽)|額度(?:不足|已用|用盡)|资源包|(?:点数|积分|账户)不足|账号?欠",
    re.IGNORECASE,
)
# Enough for a 429 that says nothing of a rate, or of a time to come back.
MAYBE_EMPTY_ACCOUNT = re.compile(rf"\b{_MONEY}\b", re.IGNORECASE)
A_RATE = re.compile(
    r"\brates?\b|too many|\bper (?:second|minute|hour|day)|\b[rt]p[mdhs]\b|concurren|\b(?:again|retry) in\b",
    re.IGNORECASE,
)

_MADE = r"(?:content|images?|prompts?|texts?|inputs?|outputs?|requests?)"
MODERATION = re.compile(
    r"content[ -]?filter|content (?:management )?polic|polic(?:y|ies) violat|violat\w*[^.]{0,60}\bpolic|usage polic"
    r"|safety (?:systems?|filters?|polic\w+|checks?|guidelines?|settings?|reasons?)|(?:for|of) safety\b"
    rf"|{_MADE} (?:safety|moderation)|moderation (?:systems?|block|reject|fail|refus|polic|check|filter|error|service)"
    r"|(?:reject|block|refus|fail|flag|filter|stop)\w*[^.]{0,30}\bmoderation"
    r"|(?:contain|includ|involv)\w*[^.]{0,30}\b(?:sensitive|inappropriate|harmful|prohibited|unsafe|offensive|illegal)"
    r"|sensitive (?:content|information|words?|material|images?)|(?:inappropriate|prohibited) (?:content|material)"
    r"|data inspection|responsible ?ai|\bnsfw\b|flagged (?:as|for|by)|content (?:was|has been|is) (?:blocked|filtered)"
    r"|<[^<>]{0,120}(?:safety|moderation|sensitive|prohibited|blocklist|risk (?:control|detect)|nsfw|unsafe|inspection)"
    r"|<[^<>]{0,120}prompt block"
    r"|敏感(?:内容|信息|词|內容|資訊)|违规|違規|违反[^。]{0,20}(?:政策|规定)|审核(?:不|未)通过|審核(?:不|未)通過|内容安全|安全审核"
    r"|安全策略|不当内容|不合规|涉黄|涉政",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_.\-/]+")


def spoken(codes: Iterable[str | None], text: str) -> str:
    """Codes and words as one text for the patterns of this module."""
    parts = (f"<{_CAMEL.sub(' ', code)}>" for code in codes if code)
    words = text.translate(str.maketrans("<>", "  ")).split()
    return f"{' '.join(parts)} {' '.join(words)}"
