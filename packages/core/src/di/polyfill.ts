// A module of its own, imported before anything of tsyringe: bundlers keep the order of modules,
// not that of an import and a re-export within one.
import "reflect-metadata";
