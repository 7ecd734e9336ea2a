import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.3';
import { getStdout } from 'wasi:cli/stdout@0.2.3';

const print = (...words) => getStdout().blockingWriteAndFlush(new TextEncoder().encode(words.join(' ') + '\n'));

export const run = {
  run() {
    print(JSON.stringify(getArguments().slice(1)), JSON.stringify(getEnvironment()));
    print('since 2020', Date.now() > 1577836800000, 'random', Math.random() !== Math.random());
    print([3, 1, 2].sort(), /a(b+)c/u.exec('xabbbc')[1], 'ß'.toUpperCase(), 2n ** 70n);
    let n = 0;
    for (let i = 0; i < 1e6; i++) n = (n + i * i) % 1000003;
    print('sum', n);
    throw new Error('the end');
  },
};
