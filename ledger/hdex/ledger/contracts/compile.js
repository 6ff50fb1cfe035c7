// Prints the build of ExchangeLedger.sol: settings, ABI, creation and runtime bytecode. NODE_PATH names where solc is.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const name = "ExchangeLedger";
const settings = {
  evmVersion: "paris",
  metadata: { bytecodeHash: "none" },
  optimizer: { enabled: true, runs: 200 },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};
const source = fs.readFileSync(path.join(__dirname, `${name}.sol`), "utf8");
const input = { language: "Solidity", sources: { [`${name}.sol`]: { content: source } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const complaints = output.errors || [];
for (const complaint of complaints) process.stderr.write(complaint.formattedMessage);
if (complaints.length > 0) process.exit(1); // a warning is an error here

const built = output.contracts[`${name}.sol`][name];
const build = {
  contract: name,
  compiler: solc.version(),
  settings,
  abi: built.abi,
  bytecode: "0x" + built.evm.bytecode.object,
  deployed_bytecode: "0x" + built.evm.deployedBytecode.object,
};
process.stdout.write(JSON.stringify(build, null, 1) + "\n");
