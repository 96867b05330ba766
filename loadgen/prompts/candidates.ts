// Words that a server's tokenizer may have as one token each: common ones, faker's, and pieces of words.

/** Short, frequent words: one token each, with a space before them or without, in the vocabularies of most models. */
const COMMON = `
time year people way day man thing woman life child world school state family student group country problem hand part
place case week company system program question work number night point home water room mother area money story fact
month lot right study book eye job word business issue side kind head house service friend father power hour game line
end member law car city name team minute idea body back face door health art war history party result change morning
reason research girl guy moment air force good new first last long great little own other old big high small large next
early young public bad same able be have do say get make go know take see come think look want give use find tell ask
seem feel try leave call keep let begin help show hear play run move live believe hold bring happen write provide sit
stand lose pay meet include continue set learn lead understand watch follow stop create speak read allow add spend grow
open walk win offer remember love consider appear buy wait serve die send expect build stay fall cut reach kill remain
up so out just now how then more also here well only very even there down still too most again never always often`;

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

export const commonWords = (): string[] => splitLines(COMMON);

/** All of two letters: byte-pair vocabularies of whatever language have most of them. */
export const pairs = (): string[] => LETTERS.flatMap(a => LETTERS.map(b => a + b));

/** Some 4,000, each once. */
export async function candidateWords(): Promise<string[]> {
  // A tenth of a second, which only a run against a real server should pay.
  const { faker } = await import('@faker-js/faker/locale/en');
  const { adjective, adverb, conjunction, noun, preposition, verb } = faker.definitions.word;
  const words = [adjective, adverb, conjunction, noun, preposition, verb]
    .flatMap(list => list ?? [])
    .filter(word => /^[a-z]{2,10}$/.test(word));
  return [...new Set([...commonWords(), ...words, ...pairs()])];
}

const splitLines = (text: string): string[] => [...new Set(text.trim().split(/\s+/))];
