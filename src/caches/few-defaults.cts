/**
 * Stands in for the package `lodash.defaults` in the function's bundle (see Alias in template.yaml), for the plain option objects of the Valkey
 * client: a name without a value gets that of the first source which has one. CommonJS, since it is asked for by `require`.
 */
module.exports = (target: Record<string, unknown>, ...sources: readonly (Record<string, unknown> | undefined)[]) => {
  for (const source of sources) {
    for (const name in source) if (target[name] === undefined) target[name] = source[name];
  }
  return target;
};
