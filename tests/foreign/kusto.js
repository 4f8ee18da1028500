// Reads Kusto queries with Microsoft's own parser and tells what it finds wrong with them, as JSON.
// node kusto.js schema.json query.kql …; the schema: {table: {column: type}}
"use strict";
const fs = require("node:fs");
require("@kusto/language-service-next/bridge.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.js");

const { Kusto, System } = globalThis;
const [schemaPath, ...queries] = process.argv.slice(2);
const schema = JSON.parse(fs.readFileSync(schemaPath, "utf8"));
const { TableSymbol, ColumnSymbol, DatabaseSymbol, ScalarTypes } = Kusto.Language.Symbols;

const table = (name, columns) => {
  const text = Object.entries(columns).map(([column, type]) => `${column}: ${type}`).join(", ");
  return TableSymbol.From(`(${text})`).WithName(name);
};
const database = new DatabaseSymbol.$ctor1("workspace", Object.entries(schema).map(([name, columns]) => table(name, columns)));
const globals = Kusto.Language.GlobalState.Default.WithDatabase(database);

const found = {};
for (const path of queries) {
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(fs.readFileSync(path, "utf8"), globals);
  const diagnostics = code.GetDiagnostics();
  found[path] = [];
  for (let place = 0; place < diagnostics.Count; place += 1) {
    const each = System.Array.getItem(diagnostics, place, Kusto.Language.Diagnostic);
    found[path].push(`${each.Severity} at ${each.Start}: ${each.Message}`);
  }
}
console.log(JSON.stringify(found));
