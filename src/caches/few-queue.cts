/**
 * Stands in for the package `denque` in the function's bundle (see Alias in template.yaml), for the commands that the Valkey client has under
 * way: few, since records of a batch share them, so an array does. CommonJS, since it is asked for by `require`.
 */
module.exports = class<T> extends Array<T> {
  peekAt(index: number): T | undefined {
    return this[index];
  }
  remove(index: number, count: number): T[] {
    return this.splice(index, count);
  }
};
