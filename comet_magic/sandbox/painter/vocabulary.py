"""The words the painter knows, English and Chinese, by what they stand for. Plurals need not be listed."""

HOURS = {
    "sunrise": (
        "sunrise,dawn,daybreak,morning,early morning,first light,日出,黎明,清晨,早晨,早上,晨光,朝阳,破晓,拂晓"
    ),
    "day": (
        "day,daytime,noon,midday,afternoon,sunny,bright,summer,spring,blue sky,sunshine,"
        "sunlight,白天,中午,晴天,阳光,夏天,春天,下午,蓝天,正午,午后"
    ),
    "sunset": (
        "sunset,dusk,evening,twilight,golden hour,sundown,autumn,日落,黄昏,夕阳,傍晚,晚霞,落日,秋天,黃昏,暮色"
    ),
    "night": (
        "night,midnight,nighttime,moonlight,moonlit,moon,full moon,crescent,starry,stars,"
        "starlight,starry night,nocturnal,neon,霓虹,霓虹灯,夜,夜晚,夜景,夜空,星空,月光,月亮,"
        "月夜,月,午夜,深夜,晚上,星夜,繁星,满月"
    ),
    "storm": (
        "storm,stormy,thunderstorm,tempest,thunder,lightning,hurricane,typhoon,暴风雨,风暴,"
        "雷雨,闪电,台风,雷电,打雷,暴雨"
    ),
    "fog": "fog,foggy,mist,misty,haze,hazy,雾,薄雾,浓雾,晨雾,霧",
}

WEATHER = {
    "rain": "rain,rainy,raining,drizzle,downpour,雨,下雨,细雨,雨天,雨夜",
    "snowfall": "snowfall,snowing,blizzard,snowstorm,snowflake,下雪,飘雪,雪花,大雪",
    "rainbow": "rainbow,彩虹",
    "aurora": "aurora,northern lights,aurora borealis,极光,極光",
}

LANDS = {
    "water": (
        "water,calm water,still water,pond,puddle,reflection,reflections,float,floating,水,"
        "水面,池塘,平静的水,湖面"
    ),
    "sea": "sea,ocean,wave,waves,seascape,sailing,海,大海,海洋,海面,海浪,波浪,海上",
    "lake": "lake,river,stream,fjord,湖,湖泊,河,河流,江,溪流,西湖,小溪,湖水",
    "mountains": (
        "mountain,mountains,mount,alps,peak,peaks,summit,himalaya,volcano,cliff,valley,canyon,"
        "山,群山,高山,雪山,山脉,山峰,山谷,火山,富士山,黄山"
    ),
    "hills": (
        "hill,hills,meadow,field,grass,grassland,prairie,countryside,pasture,garden,park,lawn,"
        "landscape,village,草地,草原,田野,山丘,花园,公园,乡村,原野,田园,村庄"
    ),
    "forest": "forest,woods,woodland,jungle,rainforest,grove,森林,树林,丛林,林间,竹林",
    "desert": "desert,dune,dunes,sahara,sand dunes,沙漠,沙丘,戈壁",
    "snow": (
        "snow,snowy,winter,ice,icy,arctic,antarctica,glacier,frozen,iceberg,雪,雪地,冬天,冰,"
        "冰川,北极,南极,冬日"
    ),
    "city": (
        "city,town,street,skyline,skyscraper,skyscrapers,downtown,urban,cityscape,buildings,"
        "building,tokyo,new york,shanghai,beijing,hong kong,london,paris,cyberpunk,城市,都市,"
        "街道,高楼,大厦,摩天大楼,上海,北京,香港,东京,纽约,街头"
    ),
    "beach": "beach,seaside,coast,shore,tropical,island,bay,hawaii,海滩,沙滩,海边,海岸,海岛,岛",
    "space": (
        "space,galaxy,cosmos,universe,outer space,nebula,planet,planets,milky way,太空,宇宙,"
        "银河,星系,星球,星云"
    ),
    "moon": "moon surface,on the moon,lunar,mars,月球,火星",
    "deep": (
        "underwater,under the sea,coral,coral reef,reef,aquarium,deep sea,seabed,海底,水下,"
        "水底,珊瑚,水族馆,深海"
    ),
    "room": (
        "room,table,desk,window,windowsill,kitchen,indoor,indoors,cafe,café,interior,bedroom,"
        "living room,still life,桌子,桌上,窗,窗户,窗边,窗台,房间,室内,厨房,餐桌,书桌,客厅"
    ),
    "road": "road,highway,路,公路,马路,道路",
}

SUBJECTS = {
    "paper boat": (
        "paper boat,paper ship,paper sailboat,origami boat,origami ship,boat made of paper,"
        "boat of paper,纸船,纸折船,折纸船,小纸船,紙船"
    ),
    "sailboat": (
        "sailboat,sail boat,sailing boat,sailing ship,yacht,boat,dinghy,canoe,kayak,gondola,"
        "sails,帆船,小船,木船,船,游艇,舟"
    ),
    "ship": ("ship,liner,ocean liner,cruise ship,steamer,ferry,vessel,warship,轮船,邮轮,大船,輪船,货轮"),
    "lighthouse": "lighthouse,light house,灯塔,燈塔",
    "house": ("house,cottage,cabin,hut,home,barn,farmhouse,farm,chalet,房子,小屋,木屋,房屋,屋子,农舍,别墅"),
    "castle": "castle,palace,fortress,citadel,城堡,宫殿,古堡",
    "windmill": "windmill,mill,风车,風車",
    "pagoda": "pagoda,temple,shrine,寺庙,宝塔,古塔,佛塔,寺,庙,塔",
    "bridge": "bridge,footbridge,桥,橋,小桥",
    "tent": "tent,camp,camping,campsite,campfire,bonfire,帐篷,露营,篝火",
    "snowman": "snowman,雪人",
    "cat": "cat,kitten,kitty,tabby,feline,猫,小猫,猫咪,貓",
    "dog": (
        "dog,puppy,pup,corgi,shiba,labrador,retriever,poodle,husky,dachshund,beagle,狗,小狗,犬,柯基,柴犬"
    ),
    "fox": "fox,vixen,狐狸,小狐狸",
    "rabbit": "rabbit,bunny,hare,兔子,小兔,兔,白兔",
    "bear": "bear,teddy,teddy bear,grizzly,熊,小熊,泰迪熊",
    "panda": "panda,熊猫,大熊猫,熊貓",
    "lion": "lion,lioness,狮子,獅子",
    "tiger": "tiger,tigress,老虎,虎",
    "otter": "otter,sea otter,beaver,水獭,海獭",
    "wolf": "wolf,coyote,狼",
    "mouse": "mouse,hamster,rat,老鼠,仓鼠,小鼠",
    "bird": "bird,sparrow,robin,songbird,canary,parrot,bluebird,finch,小鸟,鸟,鳥,麻雀,鹦鹉",
    "gull": ("seagull,gull,dove,albatross,eagle,hawk,crane,swallow,pigeon,海鸥,鸽子,老鹰,白鸽,飞鸟,鹤,燕子"),
    "owl": "owl,猫头鹰",
    "penguin": "penguin,企鹅,企鵝",
    "duck": "duck,duckling,rubber duck,goose,swan,鸭子,小鸭,天鹅,鹅,鸭",
    "fish": "fish,goldfish,clownfish,koi,shark,tuna,鱼,小鱼,金鱼,锦鲤,鲨鱼,魚",
    "whale": "whale,dolphin,orca,鲸鱼,鲸,海豚,蓝鲸",
    "butterfly": "butterfly,moth,蝴蝶,飞蛾",
    "horse": "horse,pony,stallion,mare,foal,马,骏马,小马,白马,黑马,馬",
    "tree": ("tree,oak,maple,apple tree,cherry tree,sakura,cherry blossom,willow,树,大树,樱花,樹,柳树,枫树"),
    "fir tree": "pine,pine tree,fir,fir tree,christmas tree,spruce,松树,圣诞树,杉树",
    "palm tree": "palm,palm tree,coconut,coconut tree,棕榈,棕榈树,椰子树,椰树",
    "cactus": "cactus,saguaro,仙人掌",
    "flower": (
        "flower,blossom,rose,daisy,sunflower,lotus,lily,peony,orchid,bouquet,花,花朵,玫瑰,"
        "向日葵,荷花,莲花,牡丹"
    ),
    "tulip": "tulip,郁金香",
    "mushroom": "mushroom,toadstool,fungus,蘑菇",
    "balloon": "balloon,hot air balloon,airship,zeppelin,热气球,气球,熱氣球,飞艇",
    "rocket": "rocket,spaceship,space ship,spacecraft,starship,shuttle,火箭,宇宙飞船,飞船,太空船",
    "plane": "plane,airplane,aeroplane,aircraft,jet,飞机,飛機",
    "kite": "kite,风筝,風箏",
    "car": (
        "car,automobile,taxi,cab,van,truck,jeep,beetle,sports car,bus,汽车,小汽车,车,轿车,跑车,"
        "出租车,公交车,巴士,汽車,卡车"
    ),
    "train": "train,locomotive,steam engine,railway,railroad,tram,火车,列车,高铁,地铁,火車,电车",
    "bicycle": "bicycle,bike,cycle,自行车,单车,腳踏車",
    "robot": "robot,android,cyborg,droid,机器人,機器人",
    "astronaut": "astronaut,cosmonaut,spaceman,宇航员,太空人,航天员,宇航員",
    "person": (
        "person,man,woman,boy,girl,child,kid,human,lady,traveler,traveller,"
        "hiker,wanderer,portrait,figure,人,女孩,男孩,孩子,女人,男人,小孩,老人,少女,少年,旅人,"
        "姑娘"
    ),
    "mug": ("mug,cup,coffee,tea,teacup,latte,cappuccino,espresso,cocoa,teapot,咖啡,杯子,茶,茶杯,马克杯,杯"),
    "vase": "vase,vase of flowers,vase with flowers,flowers in a vase,flower pot,花瓶",
    "apple": "apple,fruit,peach,cherry,pear,tomato,苹果,水果,桃子,蘋果",
    "book": "book,novel,notebook,diary,书,书本,書,小说,笔记本",
    "umbrella": "umbrella,parasol,雨伞,伞,傘",
    "lantern": "lantern,lamp,灯笼,燈籠,孔明灯,花灯,灯",
    "star": "star,星星,五角星",
    "heart": "heart,love,valentine,爱心,心形,爱",
}

COLOURS = {
    "#d9423a": "red,crimson,scarlet,红,红色,红色的,大红",
    "#f08a35": "orange,ginger,橙,橙色,橙色的,橘色,橘",
    "#f7c63d": "yellow,golden,gold,黄,黄色,黄色的,金色,金色的,金",
    "#4f9f52": "green,emerald,绿,绿色,绿色的",
    "#3f7fd0": "blue,navy,azure,cobalt,蓝,蓝色,蓝色的",
    "#3fa6a6": "teal,turquoise,cyan,青,青色,青色的",
    "#8a5fc0": "purple,violet,lavender,紫,紫色,紫色的",
    "#f08fae": "pink,magenta,粉,粉色,粉红,粉红色,粉色的",
    "#fbf8f2": "white,ivory,白,白色,白色的",
    "#3a3646": "black,黑,黑色,黑色的",
    "#9096a4": "grey,gray,silver,灰,灰色,银色,灰色的",
    "#8f5f40": "brown,chestnut,棕,棕色,褐色,棕色的",
}

COUNTS = {
    "1": "a,an,one,the,single,一",
    "2": "two,pair of,couple of,2,两,二,一对",
    "3": "three,some,several,many,few,group of,flock of,3,三,几,许多,一群,群",
    "4": "four,4,四",
    "5": "five,six,seven,dozen,5,6,7,五,六,七",
}

STYLES = {
    "abstract": (
        "abstract,bauhaus,geometric,geometry,pattern,mosaic,kandinsky,mondrian,wallpaper,抽象,"
        "几何,图案,包豪斯"
    ),
}

# phrases that do not mean what their words mean
IGNORED = (
    "birds eye view,birds eye,"
    "hot dog,bird's eye,bird's eye view,bird eye view,fish eye,fisheye,home page,"
    "the art of,space between,still life of,马上,路灯,台灯,红绿灯,花费,人工智能,"
    "day of the dead"
)

# plurals that do not end in s, and what there is one of
PLURALS = {
    "cacti": "cactus",
    "children": "child",
    "fungi": "fungus",
    "geese": "goose",
    "men": "man",
    "mice": "mouse",
    "people": "person",
    "wolves": "wolf",
    "women": "woman",
}
