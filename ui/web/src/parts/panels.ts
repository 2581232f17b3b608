// What opens beside or over the map, in one chunk of its own.
export { default as AlarmPanel } from './AlarmPanel.svelte';
export { default as CameraPanel } from './CameraPanel.svelte';
export { default as StationPanel } from './StationPanel.svelte';
export { default as Twin } from './Twin.svelte';
