/**
 * Dependency injection: how an application is put together from the plain classes of this package.
 *
 * @packageDocumentation
 */
export {};
