// The stories. Read from the top: a story is an opening and one of twelve plots, a plot is a row of
// sentences, a sentence has slots, and the word lists stand at the end. Rules of the house, the
// first two of them checked by the test:
//   1. No choice is the beginning of its neighbour ("sun" beside "sunny"): a text has only one
//      derivation.
//   2. Names are said again within 220 characters: a context of 256 always holds who is meant.
//   3. A story remembers little and says it often. Recalling the right name or thing is what a
//      small model learns last, from how often it sees that done.
#include "weft/text/story_grammar_table.h"

namespace weft {

const std::string_view kStoryTable = R"(
# What a story remembers.
@hero(name, he, him, his):
  Mia, she, her, her
  Lily, she, her, her
  Nora, she, her, her
  Anna, she, her, her
  Rosa, she, her, her
  Emma, she, her, her
  Tom, he, him, his
  Ben, he, him, his
  Max, he, him, his
  Leo, he, him, his
  Sam, he, him, his
  Finn, he, him, his
@pet: Pip | Moss | Button | Dot | Plum | Hazel
@thing: kite | hat | drum | bell | lamp | book
@mount: dragon | whale | horse

story: {opening} {plot}

opening:
  One {weather} {time}, {+hero} {walked} to the {place}.
  It was a {weather} {time}, and {+hero} was {playing} by the {place}.
  {+hero} lived by the {place} and loved {weather} days.

plot:
  {lost_it} {search} {meet} {found_it} {both_end}
  {saw_it} {whose} {returned} {both_end}
  {wanted_it} {price} {work} {paid} {keep_end}
  {storm} {cold_pet} {shelter} {both_end}
  {stuck} {attempt} {rescue} {both_end}
  {meet} {challenge} {tumble} {both_end}
  {cook} {missing} {meet} {borrow} {both_end}
  {noise} {fear} {peek} {both_end}
  {sow} {wait} {grow} {grow_end}
  {asleep} {flight} {wake_end}
  {meet} {quarrel} {sorry} {both_end}
  {broke_it} {ask} {mend} {keep_end}

# 1. Something is lost; an animal finds it.
lost_it:
  But {hero.his} {color} {+thing} was gone!
  "Where is my {color} {+thing}?" cried {hero}.
search:
  {Hero} looked for the {thing} {spot}, but found only {junk}.
  There was no {thing} {spot}, and {hero} was {sad}.
meet:
  Then {+pet} the {animal} came by.
  Then {hero.he} met a {nice} {animal} named {+pet}.
found_it:
  "Look {spot}," said {pet}, and there was the {thing}!
  {Pet} ran off and came back with the {thing}.

# 2. Something is found; whose is it?
saw_it:
  {Hero.he} found a {color} {+thing} {spot}.
  Something {shiny} lay {spot}. It was a {color} {+thing}!
whose:
  "The {thing} belongs to {+pet} the {animal}," said the {person}.
  The {person} said the {thing} belonged to {+pet} the {animal}.
returned:
  {Hero} ran to {pet}. "My {thing}!" cried {pet}.
  {Pet} {jumped} for joy when {hero} brought back the {thing}.

# 3. Something costs too much; work pays for it.
wanted_it:
  More than anything, {hero} wanted a {color} {+thing}.
  In a shop {hero.he} saw a {color} {+thing}.
price:
  But the {person} asked {three} coins for the {thing}.
work:
  So {hero} {chore} all {long}.
paid:
  At last {hero} had the coins, and the {thing} was {hero.his} own.
  "You worked hard, {hero}. Here is your {thing}!"

# 4. A storm; someone is cold.
storm:
  Soon the sky turned {dark}, and {rain} began to fall.
  Then came {rain} and thunder.
cold_pet:
  Under a {tree} sat a {nice} {animal} named {+pet}, {wet} and cold.
  {Hero} saw {+pet} the {animal}, {wet} and cold.
shelter:
  "Come home with me," said {hero}.
  {Hero} gave {pet} {hero.his} coat, and they ran home.

# 5. Someone is stuck.
stuck:
  "Help!" cried {+pet} the {animal}, who was stuck {trap}.
  A {nice} {animal} named {+pet} was stuck {trap}.
attempt:
  {Hero} {pulled} and {pulled}, but it was no use.
  "Hold on, {pet}," said {hero}.
rescue:
  Then the {person} came with {tool}, and {pet} was {safe}.
  {Hero} got {tool} from the {person}, and {pet} was {safe}.

# 6. A race.
challenge:
  "Let us race to the {tree}," said {hero}.
  "I can run faster than you," said {pet}.
tumble:
  But {hero} fell over a {root}. {Pet} {stopped} and helped {hero.him} up.
  But {pet} fell over a {root}, and {hero} {stopped} to help.

# 7. Something is missing in the kitchen.
cook:
  {Hero.he} wanted to bake a {sweet} cake for the {person}.
  The {person} was {sad}, so {hero} began to bake a {sweet} cake.
missing:
  But there was no {need}.
  But {hero.he} had no {need}.
borrow:
  "I have some, {hero}," said {pet}. It was a {good} cake!
  {Pet} gave {hero} some, and it was a {good} cake.

# 8. A noise at night.
noise:
  That night there was a {scary} noise {inside}.
  In the night {hero} woke up. What was that noise {inside}?
fear:
  Was it a {ghost}?
  "It must be a {ghost}," said {hero}.
peek:
  But it was only a {nice} {animal} named {+pet}, eating {food}.
  No, it was only {+pet} the {animal}, looking for {food}.

# 9. A seed.
sow:
  {Hero.he} planted a {little} seed {spot}.
  The wind had dropped a {little} seed {spot}.
wait:
  For {three} weeks nothing grew. "Sing to it," said the {person}, and {hero} sang.
  "Give it water," said the {person}, and {hero} did so.
grow:
  Then up came a {color} {plant}, as big as a {house}!
grow_end:
  "Look at that!" cried {hero}.
  {Hero} danced around it and {smiled}.

# 10. A dream.
asleep:
  {Hero.he} fell asleep and dreamed of a {color} {+mount}.
  In a dream came a {color} {+mount}.
flight:
  The {mount} took {hero.him} up to the {moon}.
  "Come with me," said the {mount}, and they flew to the {moon}.
wake_end:
  When {hero} woke up, a {little} {feather} lay {inside}.
  Then {hero} woke up. But in {hero.his} hand was a {little} {feather}!

# 11. A quarrel.
quarrel:
  {Hero} and {pet} both wanted the {color} {+thing}. "My {thing}!" cried {either}.
  {Pet} took the {color} {+thing} that {hero} loved. "Give back my {thing}!" cried {hero}.
sorry:
  But it was no fun to play with a {thing} alone. "I am sorry," said {either}.
  Soon both were {sad}. "Let us share the {thing}," said {either}.

# 12. Something breaks.
broke_it:
  Crack! Down fell {hero.his} {color} {+thing}, and it broke.
  {Hero.he} fell over a {root}, and {hero.his} {color} {+thing} broke.
ask:
  "Can you mend my {thing}?" {hero} asked the {person}.
  "Do not cry, {hero}," said the {person}. "I can mend a {thing}."
mend:
  It took {glue} and {three} hours, but then the {thing} was like new.
  Soon the {thing} was mended with {glue}.

# Ends.
both_end:
  {Hero} and {pet} were friends from that day on.
  That night they sat {fireside} and ate {food}.
  "Come again," said {pet}. "I will," said {hero}.
keep_end:
  {Hero} {smiled} all the way home.
  {Hero} kept the {thing} for many years.
  That night {hero} slept with the {thing} {inside}.

# Words.
person: baker | farmer | sailor | doctor | miller
either: {hero} | {pet}
weather: sunny | windy | rainy | snowy | warm | cold
time: morning | evening | day
long: day | week | summer
walked: walked | skipped | marched | ran
playing: playing | singing | resting
jumped: jumped | hopped | danced
smiled: smiled | laughed | sang
pulled: pulled | pushed
stopped: stopped | turned back
chore: swept the floor | fed the hens | carried water | picked apples
nice: shy | brave | kind | sleepy | hungry | clever
animal: fox | owl | dog | cat | goat | duck | frog | bear
place: lake | hill | mill | garden | forest | bridge | river
color: red | blue | green | yellow | silver | golden
good: good | big | fine
plant: rose | pumpkin | melon
sweet: plum | berry | honey | nut
need: flour | sugar | butter | milk
little: little | tiny | round
shiny: shiny | bright | small
dark: dark | black | gray
wet: wet | hungry | tired
safe: safe | free
sad: sad | lonely | tired
scary: scary | loud | soft
three: three | five | seven
inside: under the bed | behind the door | at the window
spot: in the tall grass | behind the barn | by the well | near the gate
trap: in a well | in a net | in deep mud
fireside: by the fire | under the stars
tree: tree | bench | cart
root: root | stone | log
house: house | barn | church
tool: a long rope | a ladder
glue: glue | string | a nail
junk: an old sock | a snail | three acorns | a spoon
food: warm bread | apple pie | hot soup | ripe pears | cheese
rain: rain | snow | hail
ghost: ghost | dragon | giant
moon: moon | stars | clouds
feather: feather | star | shell
)";

}  // namespace weft
