// The stories. Read from the top: a story is an opening and one of twelve plots, a plot is a row of
// sentences, a sentence has slots, and the word lists stand at the end. Rules of the house, checked
// by the test:
//   - no choice is the beginning of its neighbour ("sun" beside "sunny"), so a text has only one
//   derivation;
//   - a story is 150 to 500 characters long, and what must be remembered is named again within 256.
#include "weft/text/story_grammar_table.h"

namespace weft {

const std::string_view kStoryGrammar = R"(
# What a story remembers.
@hero(name, he, him, his):
  Mia, she, her, her
  Rosa, she, her, her
  Lily, she, her, her
  Nora, she, her, her
  Ada, she, her, her
  Tom, he, him, his
  Ben, he, him, his
  Leo, he, him, his
  Max, he, him, his
  Finn, he, him, his
@pet(name, he, him):
  Pip, he, him
  Moss, he, him
  Button, he, him
  Biscuit, he, him
  Dot, she, her
  Plum, she, her
  Hazel, she, her
  Clover, she, her
@person(job, he, his):
  baker, he, his
  tailor, he, his
  miller, he, his
  teacher, he, his
  farmer, she, her
  sailor, she, her
  potter, she, her
  doctor, she, her
@animal: fox | owl | dog | cat | goat | duck | frog | hen | mouse | bear | crow | otter
@place: lake | hill | mill | meadow | harbor | garden | market | forest | bridge | river
@color: red | blue | green | yellow | silver | golden | purple | white
@thing: kite | hat | drum | bell | lamp | book | scarf | basket | whistle | ball
@dish: plum cake | apple pie | berry tart | nut loaf | honey bun | pear pudding
@need: flour | sugar | butter | honey | milk | salt
@plant: rose | tulip | daisy | pumpkin | melon | bean
@mount: dragon | whale | horse | goose | ship

story: {opening} {plot}

plot:
  {lost_it} {search} {meet} {found_it} {hero_thanks} {both_end}
  {saw_it} {whose} {owner} {glad} {both_end}
  {wanted_it} {price} {work} {paid} {keep_end}
  {storm} {cold_pet} {shelter} {both_end}
  {stuck} {attempt} {rescue} {pet_thanks} {both_end}
  {challenge} {run} {tumble} {tie} {both_end}
  {cook} {missing} {borrow} {taste} {both_end}
  {noise} {fear} {peek} {laugh} {both_end}
  {sow} {wait} {grow} {give_end}
  {asleep} {flight} {feast} {wake_end}
  {quarrel} {angry} {sorry} {both_end}
  {broke_it} {ask} {mend} {keep_end}

opening:
  One {weather} {time}, {+hero} {walked} {over} to the {+place}.
  It was a {weather} {time}, and {+hero} was {playing} near the {+place}.
  {+hero} lived in a {little} {cottage} near the {+place}, and {hero.he} liked {weather} days best.
  Once there was a {nice} child named {+hero}, who lived {beside} the {+place}.

# 1. Something is lost; an animal finds it.
lost_it:
  But {hero.his} {+color} {+thing} was {gone}, and {hero} felt {sad}.
  Soon {hero.he} saw that {hero.his} {+color} {+thing} was {gone}.
  "Where is my {+color} {+thing}?" {cried} {hero}.
search:
  {Hero} looked {inside} and {outside}, but found only {junk}.
  First {hero.he} looked {inside}, then {outside}. There was only {junk}.
  {Hero.he} {searched} {outside} and found {junk}, but no {thing}.
meet:
  Then a {nice} {+animal} named {+pet} came along.
  On the way {hero.he} met {+pet}, a {nice} {+animal}.
  Just then {+pet} the {+animal} {jumped} out of the {bushes}.
found_it:
  "I saw a {thing} {outside}," said {pet}, and there it was!
  {Pet} {sniffed} the air, {ran} off, and came back with the {color} {thing}.
  "Let us look {outside}," said the {animal}. And there was the {color} {thing}!

# 2. Something is found; whose is it?
saw_it:
  By the {road} {hero.he} found a {+color} {+thing}.
  "What is this?" {asked} {hero}. It was a {+color} {+thing}, half hidden in the {mud}.
  Something {shiny} lay in the {mud}. It was a {+color} {+thing}!
whose:
  "Is this your {thing}?" {hero.he} asked the {+person}. "No," said the {person}. "I think it belongs to {+pet} the {+animal}."
  {Hero} showed it to the {+person}, who {shook} {person.his} head. "Only {+pet} the {+animal} has a {color} {thing}," {person.he} said.
owner:
  {Hero} {ran} {outside} and found {pet}, who was {crying}.
  So {hero} {walked} {over} to {pet}, who sat {outside}, {crying}.
glad:
  "My {thing}!" {cried} {pet}. "You found it!"
  {Pet} saw the {color} {thing} and {jumped} for joy.
  "Here is your {thing}," said {hero}. The {animal} {jumped} for joy.

# 3. Something costs too much; work pays for it.
wanted_it:
  In a {little} shop {hero.he} saw a {+color} {+thing}, and {hero.he} {wanted} it.
  More than {anything}, {hero} wanted a {+color} {+thing}.
  All {winter} {hero} had dreamed of a {+color} {+thing}.
price:
  But the {+person} asked {three} coins for it, and {hero} had only one.
  "That {thing} costs {three} coins," said the {+person}. {Hero} had only one.
work:
  So {hero} {worked} for the {person} {all_day}.
  "I can help you," said {hero}, and {hero.he} {worked} {all_day}.
paid:
  At last the {person} {smiled} and gave {hero.him} the {color} {thing}.
  "You worked hard," said the {person}. "The {thing} is yours."

# 4. A storm; someone is cold.
storm:
  All at once the sky turned {dark}, and {rain} began to fall.
  Soon the wind {howled} and {rain} fell on the {place}.
  Then came {rain} and thunder, and {hero} {ran} for home.
cold_pet:
  Under a {tree} sat a {nice} {+animal} named {+pet}, {wet} and cold.
  {Hero} heard a {soft} cry. It was {+pet} the {+animal}, {wet} and cold.
shelter:
  "Come with me," said {hero}. "My house is {warm}."
  {Hero} put {pet} under {hero.his} {coat} and {ran} home.
  {Hero} gave {pet} {hero.his} {coat} to keep {pet.him} {warm}.

# 5. Someone is stuck.
stuck:
  "{help}!" {cried} {+pet} the {+animal}, who was stuck {trap}.
  {Hero.he} heard a {soft} cry. A {nice} {+animal} named {+pet} was stuck {trap}.
attempt:
  {Hero} {pulled} and {pulled}, but it was no use.
  {Hero} {tried} to reach {pet}, but {hero.his} arms were too short.
rescue:
  So {hero.he} got {tool} from the {+person}, and soon {pet} was {safe}.
  Then the {+person} came with {tool}, and at last {pet} was {safe}.

# 6. A race.
challenge:
  "I can run faster than you," said {+pet}, a {nice} {+animal}.
  {+pet} the {+animal} wanted to race {hero} to the {goal}.
  "Let us race to the {goal}," said {hero} to {+pet} the {+animal}.
run:
  "One, two, three!" They {ran} through the {wood} and over the {stream}.
  Off they {ran}, through the {wood} and over the {stream}.
tumble:
  Then {pet} {tripped} over a {root}. {Hero} {stopped} and helped {pet.him} up.
  But {hero} {tripped} over a {root}. {Pet} {stopped} and helped {hero.him} up.
tie:
  So they {walked} to the end side by side.
  "We both won," said {either}.

# 7. Something is missing in the kitchen.
cook:
  {Hero.he} wanted to bake a {+dish} for the {+person}.
  The {+person} was {ill}, so {hero} began to bake a {+dish}.
missing:
  But there was no {+need} in the {cottage}.
  But {hero.he} had no {+need} left.
borrow:
  "I have some {need}," said {+pet}, a {nice} {+animal}, and they baked it {together}.
  {Hero} asked {+pet} the {+animal} for some {need}, and they baked it {together}.
taste:
  The {person} {smiled} and ate it all.
  "This is the best {dish} in the {world}," said the {person}.

# 8. A noise at night.
noise:
  That night {hero} heard a {strange} noise {inside}.
  At midnight there was a {strange} noise {inside}, and {hero} woke up.
fear:
  Was it a {ghost}? {Hero} {hid} under the blanket.
  "It must be a {ghost}," {cried} {hero}.
peek:
  Then {hero.he} {took} a {lamp} and looked. It was only {+pet} the {+animal}, eating {food}!
  But it was only a {nice} {+animal} named {+pet}, looking for {food}.
laugh:
  "You {scared} me," said {hero}, and they both {laughed}.
  {Hero} {laughed}, and {pet} {laughed} too.

# 9. A seed.
sow:
  {Hero.he} put a {little} seed in the ground {outside}.
  A {nice} {aunt} gave {hero} a {little} seed, and {hero.he} planted it {outside}.
wait:
  Every {day} {hero} gave it water, but nothing grew. "Wait a little," said the {+person}.
  For {three} weeks nothing grew. "Sing to it," said the {+person}, and {hero} sang.
grow:
  Then one {weather} {time} there was a {+color} {+plant} as big as a {house}!
  And up came a {+color} {+plant}, taller than a {house}!
give_end:
  {Hero} gave the {plant} to the {person}, who {smiled}.
  People came from far away to see the {color} {plant}, and {hero} {smiled}.
  "What a {plant}!" said the {person}, and {hero} {smiled}.

# 10. A dream.
asleep:
  {Hero.he} sat down under a {tree} and fell asleep. In a dream came a {+color} {+mount}.
  That night {hero} dreamed of a {+color} {+mount}.
flight:
  The {mount} carried {hero.him} over the {place} and up to the {moon}.
  "Come with me," said the {mount}, and they flew to the {moon}.
feast:
  There they ate {food} with the {queen}.
  The {queen} gave them {food} and {sang} a {soft} song.
wake_end:
  When {hero} woke up, a {color} {feather} lay {inside}.
  Then {hero} woke up. But in {hero.his} hand was a {color} {feather}!
  "Come again," said {hero} to the {mount}, and woke up.

# 11. A quarrel.
quarrel:
  {Hero} and {+pet} the {+animal} both wanted the {+color} {+thing}.
  {+pet} the {+animal} {took} the {+color} {+thing} that {hero} loved.
angry:
  "It is mine!" {cried} {hero}, and {pet} {ran} away.
  "Give me my {thing}," said {hero}. "No!" said {pet}, and {pet.he} hid {outside}.
sorry:
  But it was no fun to play alone. "I am sorry," said {either}.
  Soon both were {sad}. "Let us share the {thing}," said {either}.

# 12. Something breaks.
broke_it:
  Then {hero} {tripped} over a {root}, and {hero.his} {+color} {+thing} broke.
  Crack! Down fell {hero.his} {+color} {+thing}, and it broke.
ask:
  {Hero.he} {ran} to the {+person}. "Can you mend my {thing}?" {hero.he} asked.
  "Do not cry," said the {+person}. "I can mend a {thing}."
mend:
  The {person} mended it with {glue}, and {hero} {worked} to say thank you.
  It took {glue} and {three} hours, but then the {thing} was as good as new.

# Ends and thanks.
hero_thanks:
  "Thank you, {pet}!" {cried} {hero}.
  {Hero} {hugged} {pet}, and the {animal} {smiled}.
pet_thanks:
  "Thank you, {hero}!" {cried} {pet}.
  {Pet} {hugged} {hero}, and {hero} {smiled}.
both_end:
  From that day on, {hero} and {pet} were {best} friends.
  That {evening} they sat {fireside} and ate {food}.
  {Hero} and {pet} went home {together} and ate {food}.
  "Will you come again?" {asked} {pet}. "{every}," said {hero}.
keep_end:
  {Hero} {smiled} all the way home.
  {Hero} kept the {color} {thing} for {years}.
  That night {hero} slept with the {thing} {bedside}.

# Words: who does what.
either: {hero} | {pet}
walked: walked | skipped | wandered | marched | strolled
ran: ran | raced | hurried | dashed
over: down | up | over | out | all the way
playing: playing | singing | resting | reading | walking
beside: beside | behind | close to | not far from
cried: cried | called | shouted
asked: asked | wondered
crying: crying | sobbing | very quiet
jumped: jumped | hopped | danced | leaped
searched: searched | looked
sniffed: sniffed | smelled
shook: shook | scratched
wanted: wanted | loved | wished for
worked: {chore} | first {chore}, then {chore}
chore: swept the floor | washed the windows | fed the hens | carried water | picked apples | painted the fence
all_day: all day | all week | until dark | every morning
smiled: smiled | laughed | nodded | sang for joy
howled: howled | roared | whistled
pulled: pulled | pushed | tugged
tried: tried | jumped
tripped: tripped | fell | stumbled
stopped: stopped | turned back | came back
hid: hid | shook | lay still
took: took | grabbed | found
scared: scared | fooled | surprised
laughed: laughed | giggled | smiled
sang: sang | hummed | played
hugged: hugged | kissed | thanked

# Words: how, when and where.
weather: sunny | windy | rainy | snowy | foggy | frosty | warm | cold | quiet | bright
time: morning | afternoon | evening | day
day: day | morning | evening
evening: evening | night
winter: winter | summer | spring | year
three: three | four | five | six | seven | ten
every: Every day | Every morning | Of course | Any time
years: many years | a long time | the rest of {hero.his} life
bedside: under the pillow | beside the bed | in {hero.his} arms
fireside: by the fire | under the stars | on the roof | in the garden
together: together | side by side | arm in arm
inside: under the bed | behind the door | on the shelf | beside the stove | in the attic | at the window
outside: in the tall grass | behind the barn | by the well | under an oak | near the gate | in the hay
trap: in a well | in a net | in deep mud | on the roof | high in a tree

# Words: what things are like.
little: little | tiny | small | funny | round | pretty
nice: shy | brave | plump | kind | sleepy | hungry | clever | muddy | friendly | gentle
gone: gone | lost | missing
sad: sad | very sad | like crying | lonely
shiny: shiny | bright | strange
dark: dark | black | gray
wet: wet | hungry | tired | lost
soft: soft | sad | sweet
warm: warm | dry | close by
safe: safe | free | home again
ill: ill | sad | lonely | tired
strange: strange | loud | soft | scary
best: best | good | old | true

# Words: things that are only passing by.
cottage: cottage | house | hut | tower
house: house | barn | tower | church
road: road | path | lane
mud: mud | grass | sand | snow | ditch
bushes: bushes | reeds | shadows | fog
tree: tree | bench | roof | cart
wood: wood | corn | valley | village
stream: stream | wall | fence | hill
goal: old oak | barn | church | big stone
root: root | stone | log | bucket
coat: coat | jacket | shawl
tool: a long rope | a tall ladder | a strong pole | a big basket
glue: glue | string | a nail | tape
junk: an old sock | two smooth stones | a snail | a gray feather | three acorns | a bent spoon | some dry leaves | dust
food: warm bread | apple pie | hot soup | honey cake | ripe pears | roasted nuts | cheese | pancakes
rain: rain | snow | hail
ghost: ghost | dragon | giant | wolf
lamp: lamp | candle | stick
moon: moon | stars | clouds | top of the world
queen: queen of the owls | king of the cats | man in the moon | old wind | little stars
feather: feather | star | leaf | shell
anything: anything | all the cake in the world
aunt: aunt | uncle | cousin | neighbor
help: Help me | Oh no | Oh dear | Please help
world: world | village | whole land
)";

}  // namespace weft
