// A call in each protocol that the SDK speaks (query, JSON, REST-XML, CBOR), and those that AWS's GitHub actions make:
// amazon-ecr-login, amazon-ecs-deploy-task-definition and aws-codebuild-run-build are this SDK and little more.
import { CloudWatchClient, DescribeAlarmsCommand, PutMetricAlarmCommand } from "@aws-sdk/client-cloudwatch";
import { BatchGetBuildsCommand, CodeBuildClient } from "@aws-sdk/client-codebuild";
import { CodeDeployClient, CreateApplicationCommand, GetApplicationCommand } from "@aws-sdk/client-codedeploy";
import { ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr";
import { CreateClusterCommand, DescribeServicesCommand, ECSClient } from "@aws-sdk/client-ecs";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from "@aws-sdk/client-sts";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const options = {
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
};
const error = (call) => call.then(() => "none", (thrown) => thrown.name);
const [cloudwatch, ecs, sts] = [new CloudWatchClient(options), new ECSClient(options), new STSClient(options)];
const [codebuild, codedeploy, ecr] = [new CodeBuildClient(options), new CodeDeployClient(options), new ECRClient(options)];
const s3 = new S3Client({ ...options, forcePathStyle: true });
const alarm = { AlarmName: "a", Namespace: "n", MetricName: "m", Statistic: "Sum", Period: 60, EvaluationPeriods: 1,
  Threshold: 1.5, ComparisonOperator: "GreaterThanThreshold" };
const object = { Bucket: "from-js", Key: "a b/ü" };

await s3.send(new CreateBucketCommand({ Bucket: "from-js" }));
await s3.send(new PutObjectCommand({ ...object, Body: "text" }));
const presigned = await getSignedUrl(s3, new GetObjectCommand(object), { expiresIn: 60 });
await cloudwatch.send(new PutMetricAlarmCommand(alarm));
const [made] = (await cloudwatch.send(new DescribeAlarmsCommand({}))).MetricAlarms;
await codedeploy.send(new CreateApplicationCommand({ applicationName: "js", computePlatform: "ECS" }));
const given = (await sts.send(new GetSessionTokenCommand({}))).Credentials;
const session = { accessKeyId: given.AccessKeyId, secretAccessKey: given.SecretAccessKey, sessionToken: given.SessionToken };
const guessed = new ECSClient({ ...options, credentials: { accessKeyId: "test", secretAccessKey: "guessed" } });
console.log(JSON.stringify({
  account: (await sts.send(new GetCallerIdentityCommand({}))).Account,
  cluster: (await ecs.send(new CreateClusterCommand({ clusterName: "js" }))).cluster.clusterName,
  object: await (await s3.send(new GetObjectCommand(object))).Body.transformToString(),
  presigned: await (await fetch(presigned)).text(),
  alarm: [made.AlarmName, made.Threshold, made.AlarmConfigurationUpdatedTimestamp instanceof Date],
  application: (await codedeploy.send(new GetApplicationCommand({ applicationName: "js" }))).application.computePlatform,
  token: (await ecr.send(new GetAuthorizationTokenCommand({}))).authorizationData.length,
  builds: (await codebuild.send(new BatchGetBuildsCommand({ ids: ["js:none"] }))).buildsNotFound,
  session: (await new STSClient({ ...options, credentials: session }).send(new GetCallerIdentityCommand({}))).Account,
  errors: [
    await error(ecs.send(new DescribeServicesCommand({ cluster: "none", services: ["x"] }))),
    await error(s3.send(new GetObjectCommand({ Bucket: "from-js", Key: "none" }))),
    await error(cloudwatch.send(new PutMetricAlarmCommand({ ...alarm, Period: undefined }))),
    await error(guessed.send(new CreateClusterCommand({ clusterName: "js" }))),
  ],
}));
