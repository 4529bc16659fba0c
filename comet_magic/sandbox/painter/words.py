"""What a prompt asks for: subjects, place, hour, weather and colours, by English and Chinese words."""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import NamedTuple

from .subjects import SUBJECTS

_WORDS = {
    "subject paper boat": "paper boat,paper ship,paper sailboat,origami boat,boat made of paper,纸船,折纸船,紙船",
    "subject sailboat": "sailboat,sailing boat,yacht,boat,ship,canoe,帆船,小船,船,舟",
    "subject lighthouse": "lighthouse,灯塔,燈塔", "subject balloon": "balloon,hot air balloon,热气球,气球",
    "subject house": "house,cottage,cabin,hut,barn,farmhouse,home,房子,小屋,木屋", "subject cat": "cat,kitten,猫,貓",
    "subject tree": "tree,oak,maple,willow,cherry blossom,树,樹,樱花", "subject car": "car,taxi,van,truck,汽车,车",
    "subject bird": "bird,gull,seagull,dove,eagle,crane,swallow,鸟,小鸟,海鸥,鳥,鹤",
    "subject person": "person,people,man,men,woman,women,girl,boy,child,children,hiker,人,女孩,男孩,孩子",
    "subject flower": "flower,rose,tulip,daisy,sunflower,花,玫瑰", "subject mug": "mug,cup,coffee,tea,咖啡,杯子,茶",
    "hour sunrise": "sunrise,dawn,daybreak,morning,日出,黎明,清晨,早晨,朝阳",
    "hour day": "day,noon,midday,afternoon,sunny,summer,spring,blue sky,白天,中午,晴天,阳光,夏天,春天",
    "hour sunset": "sunset,dusk,evening,twilight,golden hour,autumn,日落,黄昏,夕阳,傍晚,晚霞,秋天",
    "hour night": "night,midnight,moon,moonlight,moonlit,starry,star,space,neon,夜,夜晚,夜景,星空,月光,月亮",
    "hour storm": "storm,stormy,thunderstorm,lightning,rain,rainy,raining,暴风雨,风暴,雷雨,闪电,雨,下雨",
    "hour fog": "fog,foggy,mist,misty,haze,雾,薄雾,霧", "snow snow": "snow,snowy,snowing,winter,雪,下雪,雪花,雪山,冬天",
    "water lake": "water,lake,pond,river,reflection,水,水面,湖,河,江",
    "water sea": "sea,ocean,wave,beach,coast,island,harbour,海,大海,海洋,海上,海浪,海滩,海边",
    "place mountains": "mountain,alps,peak,summit,valley,canyon,cliff,volcano,山,雪山,山脉,火山",
    "place hills": "hill,meadow,field,grass,garden,park,countryside,village,草地,草原,田野,花园,公园",
    "place forest": "forest,woods,jungle,woodland,森林,树林,竹林", "place desert": "desert,dune,sahara,沙漠,沙丘",
    "place city": "city,town,street,skyline,skyscraper,tokyo,shanghai,paris,城市,街道,上海,北京,东京",
    "place room": "room,table,desk,window,windowsill,kitchen,cafe,still life,桌子,桌上,窗,窗边,房间",
    "colour #d9423a": "red,crimson,红,红色", "colour #f08a35": "orange,橙,橙色", "colour #3a3646": "black,黑,黑色",
    "colour #f7c63d": "yellow,gold,golden,黄,黄色,金色", "colour #3f7fd0": "blue,azure,navy,蓝,蓝色",
    "colour #8a5fc0": "purple,violet,紫,紫色", "colour #9096a4": "grey,gray,silver,灰,灰色,银色",
    "colour #3fa6a6": "teal,cyan,青,青色", "colour #8f5f40": "brown,棕,棕色,褐色", "colour #f08fae": "pink,粉,粉色",
    "colour #4f9f52": "green,emerald,绿,绿色", "colour #fbf8f2": "white,ivory,白,白色",
    "count 2": "two,2,两只,两个,两", "count 3": "three,several,3,三只,三个,三", "count 4": "four,five,many,四,五",
}  # fmt: skip


class Idea(NamedTuple):
    """What to paint: subjects as name, number and colour (empty: its own), and the scene around them."""

    subjects: list[tuple[str, int, str]]
    place: str
    water: str  # lake, sea or none
    hour: str
    snow: bool
    colours: list[str]


@cache
def _vocabulary() -> tuple[re.Pattern[str], dict[str, list[str]]]:
    """A pattern for all words, the longest first, and what each stands for."""
    known: dict[str, list[str]] = {}
    for key, words in _WORDS.items():
        for word in words.split(","):
            known.setdefault(word, []).append(key)
    longest = sorted(known, key=len, reverse=True)
    letters, signs = ("|".join(word for word in longest if word.isascii() == plain) for plain in (1, 0))
    return re.compile(rf"(?<![a-z0-9])({letters})(e?s)?(?![a-z0-9])|{signs}"), known


def read(prompt: str, seed: str) -> Idea:
    """What the prompt names, and where it names no place or hour, what suits its subjects or the seed."""
    (pattern, known), rng = _vocabulary(), Random(seed)  # noqa: S311  # the same for the same prompt
    found: dict[str, list[str]] = {key.partition(" ")[0]: [] for key in _WORDS}
    subjects: dict[str, tuple[str, int, str]] = {}
    before: dict[str, str] = {}  # the colour and the count that wait for their subject
    for match in pattern.finditer(prompt[:2000].lower()):
        for kind, _, value in (key.partition(" ") for key in known[match[1] or match[0]]):
            found[kind].append(value)
            before[kind] = value
        if name := before.pop("subject", ""):
            many = "3" if match[2] or match[1] in {"people", "children"} else "1"
            subjects.setdefault(name, (name, int(before.pop("count", many)), before.pop("colour", "")))
    place, water, hour = (next(iter(found[kind]), "") for kind in ("place", "water", "hour"))
    hour = hour or ("day" if found["snow"] else rng.choice(("sunrise", "day", "sunset")))
    hour = "storm" if "storm" in found["hour"] else hour
    usual = {"storm": "sea", "fog": "forest"}.get(hour) or rng.choice(("lake", "hills", "mountains"))
    place = place or water or next((SUBJECTS[name].place for name in subjects), usual)
    if place in {"lake", "sea"}:
        place, water = "", place
    elif place != "room" and any(SUBJECTS[name].ground == "water" for name in subjects):
        water = water or "lake"
    return Idea(list(subjects.values())[:3], place, water, hour, bool(found["snow"]), found["colour"])
