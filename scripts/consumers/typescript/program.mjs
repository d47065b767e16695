// Runs one of the compiled programs: `plain` or `container`.
import process from "node:process";

const { roundTrips } = await import(`./dist/${process.argv[2]}.js`);
process.stdout.write(JSON.stringify(await roundTrips()));
