// Every decorated class takes the container functions from here, so that there is one copy of
// tsyringe and its polyfill is loaded first.
import "./polyfill.ts";

export {
  container,
  type DependencyContainer,
  type InjectionToken,
  inject,
  injectAll,
  injectable,
  instanceCachingFactory,
  instancePerContainerCachingFactory,
  Lifecycle,
} from "tsyringe";
