const keyPattern = /sk-ant-[\w-]{8,}/gu;
const keyVariables: readonly string[] = ["ANTHROPIC_ENVIRONMENT_KEY", "ANTHROPIC_API_KEY", "GLOVEBOX_OWNER_KEY"];

/**
 * Takes keys out of what is shown: everything that looks like one, the values of the variables that hold them, and of `--environment-key`.
 * @param args the command line
 */
export function redactor(env: NodeJS.ProcessEnv, args: readonly string[]): (text: string) => string {
  const flag = "--environment-key";
  const given = args.flatMap((argument, index) => {
    if (argument.startsWith(`${flag}=`)) return [argument.slice(flag.length + 1)];
    return args[index - 1] === flag ? [argument] : [];
  });
  const secrets = [...keyVariables.map((name) => env[name] ?? ""), ...given].filter((secret) => secret.length >= 8);
  return (text) => secrets.reduce((clean, secret) => clean.replaceAll(secret, "[key]"), text).replace(keyPattern, "[key]");
}
