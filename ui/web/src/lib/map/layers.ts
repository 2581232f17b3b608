/** What can be shown and hidden on the map, in the order of its keys 1-6. */
export const MAP_LAYERS = ['stations', 'salinity', 'cameras', 'wifi', 'zones', 'places'] as const;
export type MapLayer = (typeof MAP_LAYERS)[number];
export const allLayers = (): Record<MapLayer, boolean> => ({ stations: true, salinity: true, cameras: true, wifi: true, zones: true, places: true });
