/** Whether this code is an installed package: its views are the sample's then, whoever runs it. */
export const isInstalledPackage: boolean = import.meta.url.includes('/node_modules/');
