/** The page. */
import { render } from "preact";
import { App } from "./shell/app.tsx";
import { keepOffline } from "./shell/offline.ts";
import "./style.css";

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
keepOffline();
