// Shows /openapi.json to a person: what can be called, with what, and what comes back.

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(tag, attributes = {}, ...children) {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

function row(...cells) {
  return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
}

function table(rows) {
  return make("table", {}, make("tbody", {}, ...rows));
}

// JSON with short arrays on one line.
function pretty(value) {
  const text = JSON.stringify(value, null, 2);
  return text.replace(/\[[^[\]{}]*\]/g, (array) => {
    const line = array.replace(/\s+/g, " ");
    return line.length < 70 ? line : `${line.slice(0, 60).replace(/,[^,]*$/, "")}, …]`;
  });
}

class Docs {
  #document;

  constructor(openapi) {
    this.#document = openapi;
  }

  render() {
    const { info } = this.#document;
    const intro = (info.description ?? "").split("\n\n").map((text) => make("p", {}, text));
    return [make("h1", {}, info.title), ...intro, ...this.#groups()];
  }

  #groups() {
    const groups = new Map((this.#document.tags ?? []).map((tag) => [tag.name, { ...tag, operations: [] }]));
    for (const [path, item] of Object.entries(this.#document.paths)) {
      for (const method of METHODS.filter((name) => item[name])) {
        const operation = item[method];
        const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
        const tag = operation.tags?.[0] ?? "other";
        if (!groups.has(tag)) groups.set(tag, { name: tag, operations: [] });
        groups.get(tag).operations.push(this.#operation(method, path, operation, parameters));
      }
    }
    return [...groups.values()].filter((group) => group.operations.length > 0).flatMap(({ name, description, operations }) => [
      make("h2", {}, name),
      make("p", { className: "soft" }, description ?? ""),
      ...operations,
    ]);
  }

  #operation(method, path, operation, parameters) {
    const summary = make(
      "summary",
      {},
      make("code", { className: "method" }, method.toUpperCase()),
      make("code", { className: "path" }, path),
      make("span", { className: "soft" }, operation.summary ?? ""),
    );
    const body = make("div", { className: "body" }, make("p", {}, operation.description ?? ""));
    if (parameters.length > 0) body.append(make("h3", {}, "Parameters"), this.#parameters(parameters));
    if (operation.requestBody) body.append(make("h3", {}, "Body"), ...this.#content(operation.requestBody));
    const responses = Object.entries(operation.responses).map(([status, reference]) => [status, this.#resolve(reference)]);
    const done = responses.filter(([status]) => status.startsWith("2"));
    const problems = responses.filter(([status]) => !status.startsWith("2"));
    for (const [status, response] of done) body.append(make("h3", {}, `Answer ${status}`), ...this.#content(response));
    if (problems.length > 0) {
      const rows = problems.map(([status, { description }]) => row(make("code", {}, status), description));
      body.append(make("h3", {}, "Errors, as application/problem+json"), table(rows));
    }
    return make("details", {}, summary, body);
  }

  #parameters(parameters) {
    return table(
      parameters.map((reference) => {
        const parameter = this.#resolve(reference);
        const where = parameter.required ? `${parameter.in}, required` : parameter.in;
        return row(make("code", {}, parameter.name), where, parameter.description ?? "");
      }),
    );
  }

  #content(holder) {
    const content = Object.entries(this.#resolve(holder).content ?? {});
    const plain = content.filter(([mediaType]) => !mediaType.endsWith("json")).map(([mediaType]) => mediaType);
    const parts = content
      .filter(([mediaType]) => mediaType.endsWith("json"))
      .flatMap(([mediaType, { schema }]) => [
        make("p", {}, make("code", {}, mediaType)),
        make("pre", {}, make("code", {}, pretty(this.#example(schema ?? {})))),
      ]);
    if (plain.length > 0) parts.unshift(make("p", {}, make("code", {}, plain.join(", "))));
    return parts;
  }

  // A value that the schema allows: its example, or one made of the examples of its parts.
  #example(reference, depth = 0) {
    const schema = this.#resolve(reference);
    if (schema.example !== undefined) return schema.example;
    if (schema.examples?.length) return schema.examples[0];
    if (schema.default !== undefined) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (schema.const !== undefined) return schema.const;
    const choice = schema.anyOf ?? schema.oneOf ?? schema.allOf;
    if (choice) return this.#example(choice[0], depth);
    if (depth > 6) return null;
    if (schema.type === "object") {
      const properties = Object.entries(schema.properties ?? {});
      return Object.fromEntries(properties.map(([name, part]) => [name, this.#example(part, depth + 1)]));
    }
    if (schema.type === "array") return [this.#example(schema.items ?? {}, depth + 1)];
    return { string: "", integer: 0, number: 0, boolean: true }[schema.type] ?? null;
  }

  #resolve(node) {
    if (!node.$ref) return node;
    return node.$ref.split("/").slice(1).reduce((found, key) => found[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.#document);
  }
}

const docs = document.getElementById("docs");
try {
  const response = await fetch("/openapi.json");
  docs.append(...new Docs(await response.json()).render());
} catch {
  docs.append(make("p", { className: "problem" }, "The description did not arrive. Reload the page."));
}
docs.setAttribute("aria-busy", "false");
