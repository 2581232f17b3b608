const POINTS = ['dirN', 'dirNE', 'dirE', 'dirSE', 'dirS', 'dirSW', 'dirW', 'dirNW'] as const;

/** The nearest of eight points of the compass, as a word of the dictionary. */
export const compass = (bearing: number): (typeof POINTS)[number] => POINTS[Math.round((((bearing % 360) + 360) % 360) / 45) % 8]!;
