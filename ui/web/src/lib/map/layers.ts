/** What can be shown and hidden on the map, in the order of its keys 1-5. */
export const MAP_LAYERS = ['stations', 'salinity', 'wifi', 'zones', 'places'] as const;
export type MapLayer = (typeof MAP_LAYERS)[number];
export const allLayers = (): Record<MapLayer, boolean> => ({ stations: true, salinity: true, wifi: true, zones: true, places: true });
