/** Whether this code runs from an installed package, which contains the views of the sample and not those of the user. */
export const isInstalledPackage: boolean = import.meta.url.includes('/node_modules/');
