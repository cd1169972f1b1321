// The dialogues, and the texts as a whole: two of five are stories. Turns are lines as in
// text/dialogue.h. A dialogue is one to five questions with their answers and a farewell. Sums are
// the most frequent of them, since nothing else here takes a model so long to learn.
#include "weft/text/story_grammar_table.h"

namespace weft {

const std::string_view kDialogueTable = R"(
text:
  [2] {story}
  [3] {dialogue}

@friend: Mia | Lily | Nora | Anna | Rosa | Emma | Tom | Ben | Max | Leo | Sam | Finn
@fact(asked, answer):
  What color is the sky?, The sky is blue.
  What color is grass?, Grass is green.
  What color is the snow?, The snow is white.
  What does a cow say?, A cow says moo.
  What does a duck say?, A duck says quack.
  What does a dog say?, A dog says woof.
  What does a cat say?, A cat says meow.
  Where do fish live?, Fish live in the water.
  Where do birds sleep?, Birds sleep in a nest.
  Where does the sun go at night?, The sun goes behind the hill.
  What do bees make?, Bees make honey.
  What is bread made of?, Bread is made of flour and water.
  What is the opposite of big?, The opposite of big is small.
  What is the opposite of hot?, The opposite of hot is cold.
  What is the opposite of day?, The opposite of day is night.
  What comes after Monday?, After Monday comes Tuesday.
  What comes after Friday?, After Friday comes Saturday.
  What comes after winter?, After winter comes spring.
  How many legs has a spider?, A spider has eight legs.
  How many legs has a horse?, A horse has four legs.
  How many days are in a week?, There are seven days in a week.
  Who are you?, I am a little model. I can add and tell stories.
  What can you do?, I can add and tell stories.
  How are you?, I am fine. Thank you for asking!

dialogue:
  [3] {hello}\n{question}\n{then}
  [4] {question}\n{then}
  {wish}\n{then}
  [3] {name}\n{question}\n{named_then}
hello:
  User: {greeting}!\nAssistant: Hello! {offer}
name:
  User: {greeting}! My name is {+friend}.\nAssistant: Hello, {friend}! {offer}
  User: My name is {+friend}.\nAssistant: Nice to meet you, {friend}! {offer}

# After the first question.
then: {bye} | [2] {question}\n{then_two} | {wish}\n{bye}
then_two: {bye} | [2] {question}\n{then_three} | {wish}\n{bye}
then_three: {bye} | [2] {question}\n{then_four} | {wish}\n{bye}
then_four: {bye} | {question}\n{bye}
named_then: {named_bye} | [2] {named_question}\n{named_then_two} | {wish}\n{named_bye}
named_then_two: {named_bye} | [2] {named_question}\n{named_then_three} | {wish}\n{named_bye}
named_then_three: {named_bye} | [2] {named_question}\n{named_then_four} | {wish}\n{named_bye}
named_then_four: {named_bye} | {named_question}\n{named_bye}

named_question:
  User: What is my name?\nAssistant: Your name is {friend}.
  User: Who am I?\nAssistant: You are {friend}.
  [8] {question}
question:
  [5] User: What is {+sum}\nAssistant: {sum.is}.
  [5] User: How much is {+sum}\nAssistant: {sum.is}.
  [4] User: {+hero} has {+pile}. How many are there now?\nAssistant: {Hero} has {pile.now} now.
  [4] User: {+fact}\nAssistant: {fact.answer}
wish:
  User: Tell me a story about {+hero}.\nAssistant: {told} {plot}
  User: Please tell me a story.\nAssistant: {story}
# An opening for a hero who is known.
told:
  One {weather} {time}, {hero} {walked} to the {place}.
  It was a {weather} {time}, and {hero} was {playing} by the {place}.
  {hero} lived by the {place} and loved {weather} days.

bye:
  User: Thank you!\nAssistant: You are welcome!
  User: {farewell}!\nAssistant: Goodbye! Come again soon.
named_bye:
  User: Thank you!\nAssistant: You are welcome, {friend}!
  User: {farewell}!\nAssistant: Goodbye, {friend}! Come again soon.
greeting: Hello | Hi | Good morning | Good evening
farewell: Goodbye | Good night | See you tomorrow
offer: How can I help you? | What would you like to know? | What shall we do?
)";

}  // namespace weft
