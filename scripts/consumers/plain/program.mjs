import process from "node:process";
import { roundTrips } from "./round-trips.mjs";

process.stdout.write(JSON.stringify(await roundTrips()));
