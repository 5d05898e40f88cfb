/* Bare addresses that end before a full-width mark, as Chinese, Japanese and Korean texts have them; GFM's own go on. */
import { markdownLineEndingOrSpace } from "micromark-util-character";

// Or before such letters right behind the name of a host.
const END = /[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65‘’“”…—～]|(?<=^(?:\w+:\/\/)?[\w.:-]+)[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/;
const ADDRESS = /^(?:https?:\/\/|www\.)[a-z0-9[]/i;
const TRAIL = /[?!.,:;*_~'"]+$/;
const LONGEST = 2000;

/** How many characters of this run belong to the address; 0 where GFM knows as much. */
function length(run) {
  const end = run.search(END);
  if (end < 0) return 0;
  let address = run.slice(0, end).replace(TRAIL, "");
  while (address.endsWith(")") && address.split(")").length > address.split("(").length) address = address.slice(0, -1).replace(TRAIL, "");
  return ADDRESS.test(address) ? address.length : 0;
}

function withinLabel(events) {
  const label = events.findLast(([, { type, _balanced }]) => (type === "labelLink" || type === "labelImage") && !_balanced);
  return label !== undefined;
}

const address = {
  name: "addressBeforeMark",
  previous: (code) => code === null || !/[A-Za-z0-9]/.test(String.fromCharCode(code)),
  tokenize(effects, ok, nok) {
    const { events } = this;
    let run = "";
    let left = 0;
    const scan = {
      partial: true,
      tokenize: (scanning, found, none) => {
        scanning.enter("data");
        return function next(code) {
          if (code === null || code === 60 || markdownLineEndingOrSpace(code) || run.length >= LONGEST) {
            scanning.exit("data");
            left = length(run);
            return left > 0 && !withinLabel(events) ? found(code) : none(code);
          }
          run += String.fromCharCode(code);
          if (run.length === 4 && !/^(?:http|www\.)$/i.test(run)) return none(code);
          scanning.consume(code);
          return next;
        };
      },
    };
    function begin(code) {
      effects.enter("literalAutolink");
      effects.enter(/^w/i.test(run) ? "literalAutolinkWww" : "literalAutolinkHttp");
      return rest(code);
    }
    function rest(code) {
      if (left-- > 0) {
        effects.consume(code);
        return rest;
      }
      effects.exit(/^w/i.test(run) ? "literalAutolinkWww" : "literalAutolinkHttp");
      effects.exit("literalAutolink");
      return ok(code);
    }
    return effects.check(scan, begin, nok);
  },
};

export const addressSyntax = { text: { 72: address, 87: address, 104: address, 119: address } };
