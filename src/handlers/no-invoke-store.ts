/**
 * Stands in for the package `@aws/lambda-invoke-store` in the function's bundle (see Alias in template.yaml): it keeps invocations apart that run
 * at the same time in one environment, and an event source mapping of a stream has none.
 */
export const InvokeStore = {
  async getInstanceAsync(): Promise<undefined> {},
};
