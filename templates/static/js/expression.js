/* Evaluates the JSON of metaloom.expression.to_browser. The semantics are in docs/expressions.md and equal those of
   the Python and SQL targets. No eval, no Function: it runs under a strict content security policy.

   MetaloomExpr.evaluate(tree, record, env) → true, false, null, or text (numbers come as decimal text).
   record: field → value; links nested ({customer: {name: …}} or null); children as arrays. Numbers as text or safe integers.
   env: {business_date, now, user_id, roles: [...], user: {...}}

   Numbers are BigInt, scaled by 10^12, so that no result depends on floating point. */
(function (root) {
  "use strict";

  const PLACES = 12;
  const UNIT = 10n ** 12n;
  const INT_LIMIT = 2n ** 63n - 1n;
  const DECIMAL_LIMIT = 10n ** 38n;
  const MAX_DAYS = 366000n;
  const MAX_MONTHS = 12000n;
  const SPACES = " \t\n\r\u3000";
  const MOBILE = /^1[3-9][0-9]{9}$/;
  const ID_CARD = new RegExp(
    "^[1-9][0-9]{5}((18|19|20)[0-9]{2}((0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])" +
    "|(0[469]|11)(0[1-9]|[12][0-9]|30)|02(0[1-9]|1[0-9]|2[0-8]))" +
    "|((18|19|20)(0[48]|[2468][048]|[13579][26])|2000)0229)[0-9]{3}[0-9Xx]$");
  const ID_WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

  function evaluate(tree, record, env) {
    if (!tree || tree.v !== 1) throw new Error("expression: unknown version");
    return outside(tree.node, run(tree.node, record, env || {}));
  }

  function run(node, record, env) {
    const special = SPECIAL[node.op];
    if (special) return special(node, record, env);
    const strict = STRICT[node.op];
    if (!strict) throw new Error("expression: unknown operation " + node.op);
    const args = [];
    for (const arg of node.args) args.push(run(arg, record, env));
    return args.includes(null) ? null : strict(...args);
  }

  /* ---- values ---- */

  function inside(value, type) {
    if (value === null || value === undefined) return null;
    if (type === "int" || type === "decimal") return value === "" ? null : number(value);
    if (type === "date") return value === "" ? null : value;
    if (type === "datetime") return value === "" ? null : instant(value);
    if (type === "time") return value === "" ? null : (value + ":00").slice(0, 8);
    if (type === "record") return value === "" ? null : String(typeof value === "object" ? value.id : value);
    return value;
  }

  function number(value) {
    const match = /^(-?)([0-9]+)(?:\.([0-9]+))?$/.exec(String(value));
    if (!match) throw new Error("expression: not a number: " + value);
    const places = (match[3] || "").padEnd(PLACES, "0");
    if (places.length > PLACES && /[1-9]/.test(places.slice(PLACES))) throw new Error("expression: more than 12 places: " + value);
    const scaled = BigInt(match[2] + places.slice(0, PLACES));
    return match[1] ? -scaled : scaled;
  }

  /* One spelling for every instant, to the microsecond, in UTC. */
  function instant(value) {
    const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:?\d\d)?$/.exec(value);
    if (!match) throw new Error("expression: not an instant: " + value);
    const fraction = (match[4] || "").padEnd(6, "0");
    const zone = !match[5] || match[5] === "Z" ? "Z" : match[5].replace(/(\d\d):?(\d\d)$/, "$1:$2");
    const utc = new Date(match[1] + "T" + match[2] + ":" + (match[3] || "00") + zone);
    return utc.toISOString().slice(0, 19) + "." + fraction + "Z";
  }

  function text(scaled) {
    const sign = scaled < 0n ? "-" : "";
    const digits = magnitude(scaled).toString().padStart(PLACES + 1, "0");
    const places = digits.slice(-PLACES).replace(/0+$/, "");
    return sign + digits.slice(0, -PLACES) + (places ? "." + places : "");
  }

  function outside(node, value) {
    if (value === null) return null;
    if (node.type === "int") return inIntRange(node, value) ? text(value) : null;
    if (node.type === "decimal") return magnitude(value) < DECIMAL_LIMIT ? text(value) : null;
    return value;
  }

  function inIntRange(node, value) {
    return node.op === "field" || magnitude(value) <= INT_LIMIT * UNIT;
  }

  function followed(record, path) {
    let value = record;
    for (const name of path) {
      if (value === null || value === undefined) return null;
      if (!Object.prototype.hasOwnProperty.call(value, name)) throw new Error("expression: no value for " + path.join("."));
      value = value[name];
    }
    return value === undefined ? null : value;
  }

  /* ---- exact arithmetic ---- */

  function magnitude(x) { return x < 0n ? -x : x; }

  /* a / b as whole numbers, half away from zero */
  function halfUp(a, b) {
    const size = (2n * magnitude(a) + magnitude(b)) / (2n * magnitude(b));
    return (a < 0n) !== (b < 0n) ? -size : size;
  }

  function floorTo(x, unit) {
    const rest = ((x % unit) + unit) % unit;
    return x - rest;
  }

  /* ---- text ---- */

  function comparePoints(a, b) {
    const left = Array.from(a), right = Array.from(b);
    const shared = Math.min(left.length, right.length);
    for (let i = 0; i < shared; i++) {
      if (left[i] !== right[i]) return left[i].codePointAt(0) < right[i].codePointAt(0) ? -1 : 1;
    }
    return left.length - right.length;
  }

  function order(a, b) {
    if (typeof a === "string" && typeof b === "string") return comparePoints(a, b);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  function trim(value) {
    let start = 0, end = value.length;
    while (start < end && SPACES.includes(value[start])) start++;
    while (end > start && SPACES.includes(value[end - 1])) end--;
    return value.slice(start, end);
  }

  function isIdCard(value) {
    if (!ID_CARD.test(value)) return false;
    let total = 0;
    ID_WEIGHTS.forEach((weight, i) => { total += weight * Number(value[i]); });
    return "10X98765432"[total % 11] === value[17].toUpperCase();
  }

  /* ---- dates: ISO text, proleptic Gregorian ---- */

  function parts(day) { return [Number(day.slice(0, 4)), Number(day.slice(5, 7)), Number(day.slice(8, 10))]; }

  function iso(year, month, day) {
    return String(year).padStart(4, "0") + "-" + String(month).padStart(2, "0") + "-" + String(day).padStart(2, "0");
  }

  function dayNumber(day) {
    const [y, m, d] = parts(day);
    const year = m > 2 ? y : y - 1;
    const era = Math.floor(year / 400);
    const yoe = year - era * 400;
    const doy = Math.floor((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5) + d - 1;
    return era * 146097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy;
  }

  function fromDayNumber(n) {
    const era = Math.floor(n / 146097);
    const doe = n - era * 146097;
    const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
    const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
    const mp = Math.floor((5 * doy + 2) / 153);
    const month = mp < 10 ? mp + 3 : mp - 9;
    return iso(yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - Math.floor((153 * mp + 2) / 5) + 1);
  }

  const FIRST_DAY = dayNumber("0001-01-01");
  const LAST_DAY = dayNumber("9999-12-31");

  function addDays(day, scaled) {
    const n = scaled / UNIT;
    if (magnitude(n) > MAX_DAYS) return null;
    const sum = dayNumber(day) + Number(n);
    return sum < FIRST_DAY || sum > LAST_DAY ? null : fromDayNumber(sum);
  }

  function monthLength(year, month) {
    if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
    return [4, 6, 9, 11].includes(month) ? 30 : 31;
  }

  function addMonths(day, scaled) {
    const n = scaled / UNIT;
    if (magnitude(n) > MAX_MONTHS) return null;
    const [y, m, d] = parts(day);
    const index = y * 12 + m - 1 + Number(n);
    const year = Math.floor(index / 12), month = index - year * 12 + 1;
    return year < 1 || year > 9999 ? null : iso(year, month, Math.min(d, monthLength(year, month)));
  }

  function ageYears(birth, on) {
    return Number(on.slice(0, 4)) - Number(birth.slice(0, 4)) - (on.slice(5) < birth.slice(5) ? 1 : 0);
  }

  function whole(n) { return BigInt(n) * UNIT; }

  /* ---- operations that are null when an operand is null ---- */

  const STRICT = {
    eq: (a, b) => a === b,
    ne: (a, b) => a !== b,
    lt: (a, b) => order(a, b) < 0,
    le: (a, b) => order(a, b) <= 0,
    gt: (a, b) => order(a, b) > 0,
    ge: (a, b) => order(a, b) >= 0,
    in: (a, list) => list.includes(a),
    not: (a) => !a,
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => halfUp(a * b, UNIT),
    div: (a, b) => (b === 0n ? null : halfUp(a * UNIT, b)),
    mod: (a, b) => (b === 0n ? null : a % b),
    neg: (a) => -a,
    abs: magnitude,
    to_decimal: (a) => a,
    floor: (a) => floorTo(a, UNIT),
    ceil: (a) => -floorTo(-a, UNIT),
    length: (t) => whole(Array.from(t).length),
    lower: (t) => t.replace(/[A-Z]/g, (c) => c.toLowerCase()),
    upper: (t) => t.replace(/[a-z]/g, (c) => c.toUpperCase()),
    trim: trim,
    contains: (t, part) => t.includes(part),
    starts_with: (t, part) => t.startsWith(part),
    ends_with: (t, part) => t.endsWith(part),
    concat: (...all) => all.join(""),
    days_between: (a, b) => whole(dayNumber(b) - dayNumber(a)),
    add_days: addDays,
    add_months: addMonths,
    year: (d) => whole(parts(d)[0]),
    month: (d) => whole(parts(d)[1]),
    day: (d) => whole(parts(d)[2]),
    age_years: (birth, on) => whole(ageYears(birth, on)),
    is_mobile: (t) => MOBILE.test(t),
    is_id_card: isIdCard,
    id_card_birthday: (t) => (isIdCard(t) ? iso(Number(t.slice(6, 10)), Number(t.slice(10, 12)), Number(t.slice(12, 14))) : null),
    id_card_is_male: (t) => (isIdCard(t) ? Number(t[16]) % 2 === 1 : null)
  };

  /* ---- operations with rules of their own for null ---- */

  const SPECIAL = {
    const: (node) => inside(node.value, node.type),
    list: (node, record, env) => node.args.map((arg) => run(arg, record, env)),
    field: (node, record) => {
      const value = followed(record, node.value);
      return node.type === "multi" && value !== null ? value.map((item) => inside(item, node.of)) : inside(value, node.type);
    },
    env: fromEnv,
    is_null: (node, record, env) => run(node.args[0], record, env) === null,
    and: (node, record, env) => kleene(node, record, env, false),
    or: (node, record, env) => kleene(node, record, env, true),
    if: (node, record, env) => run(node.args[run(node.args[0], record, env) === true ? 1 : 2], record, env),
    coalesce: (node, record, env) => {
      for (const arg of node.args) {
        const value = run(arg, record, env);
        if (value !== null) return value;
      }
      return null;
    },
    round: (node, record, env) => {
      const value = run(node.args[0], record, env);
      const unit = 10n ** BigInt(PLACES - (node.value || 0));
      return value === null ? null : halfUp(value, unit) * unit;
    },
    min: (node, record, env) => extreme(node.args.map((arg) => run(arg, record, env)), -1),
    max: (node, record, env) => extreme(node.args.map((arg) => run(arg, record, env)), 1),
    total: total
  };

  function fromEnv(node, record, env) {
    const [name, argument] = node.value;
    if (name === "has_role") return (env.roles || []).includes(argument);
    const value = name === "user" ? (env.user || {})[argument] : env[name];
    if (node.type === "multi") return value ? value.map((item) => inside(item, node.of)) : null;
    return inside(value, node.type);
  }

  function kleene(node, record, env, stop) {
    let unknown = false;
    for (const arg of node.args) {
      const value = run(arg, record, env);
      if (value === stop) return stop;
      if (value === null) unknown = true;
    }
    return unknown ? null : !stop;
  }

  function extreme(values, sign) {
    let best = null;
    for (const value of values) {
      if (value !== null && (best === null || order(value, best) * sign > 0)) best = value;
    }
    return best;
  }

  function total(node, record, env) {
    const [name, path] = node.value;
    const rows = followed(record, path) || [];
    if (!node.args) return whole(rows.length);
    const values = rows.map((row) => run(node.args[0], row, env));
    switch (name) {
      case "sum": return values.reduce((sum, value) => (value === null ? sum : sum + value), 0n);
      case "count": return whole(values.filter((value) => value === true).length);
      case "any": return values.some((value) => value === true);
      case "all": return values.every((value) => value === true);
      default: return extreme(values, name === "min" ? -1 : 1);
    }
  }

  const api = Object.freeze({ evaluate: evaluate });
  if (typeof module === "object" && module.exports) module.exports = api;
  root.MetaloomExpr = api;
})(typeof globalThis !== "undefined" ? globalThis : this);
