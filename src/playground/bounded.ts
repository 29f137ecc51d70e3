/** Makes room in a map: drops the oldest entry of a map that is full. Returns the map. */
export function bounded<K, V>(map: Map<K, V>, most: number): Map<K, V> {
  if (map.size >= most) map.delete(map.keys().next().value as K);
  return map;
}
