// Which dialect an answer is written in.
import type { Answer, AnswerWriter } from './answer.ts';
import { ChunkWriter } from './chunks.ts';
import { MessageWriter } from './messages.ts';
import type { EmulatedApi } from './request.ts';
import { ResponseWriter } from './responses.ts';

const WRITERS: Readonly<Record<EmulatedApi, new (answer: Answer) => AnswerWriter>> = {
  chat: ChunkWriter,
  completions: ChunkWriter,
  responses: ResponseWriter,
  messages: MessageWriter,
};
const IDS: Readonly<Record<EmulatedApi, string>> = {
  chat: 'chatcmpl',
  completions: 'cmpl',
  responses: 'resp',
  messages: 'msg',
};

export const writerOf = (answer: Answer): AnswerWriter => new WRITERS[answer.request.api](answer);

/** The id of an answer, in the words of its API. */
export const idOf = (api: EmulatedApi, name: string): string => `${IDS[api]}-${name}`;
