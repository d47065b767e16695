/**
 * Registration of this transport in a dependency-injection container.
 *
 * @packageDocumentation
 */
export {};
