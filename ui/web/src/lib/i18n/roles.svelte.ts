// The roles of accounts and tokens, in the reader's language. Read inside components only.

import type { Role } from '../api/types';
import { t } from './locale.svelte';

const WORDS = { viewer: 'roleViewer', operator: 'roleOperator', admin: 'roleAdmin' } as const;

/** All roles, the least first. */
export const ROLES = Object.keys(WORDS) as Role[];

export const roleWord = (role: Role | undefined): string => (role ? t(WORDS[role]) : '');
